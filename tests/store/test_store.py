"""What is acknowledged is there after anything that happens to a process or a file, or the store says it is not."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from qorum.config import FederationConfig
from qorum.core.effects import Committed, Keep
from qorum.core.genesis import Genesis
from qorum.errors import StoreError
from qorum.qtable import QTable
from qorum.store import Reader, Store, open_read_only, schema
from tests.store.recorded import disk_after, recording, revive, same, write

KEY = bytes(32)


def full_store(path: Path) -> Store:
    """A store that was given all there is."""
    store = Store.open(path, recording().genesis)
    for step in recording().steps:
        write(store, step, wait=False)
    store.experience(KEY, b"what it saw").result(timeout=20)
    return store


# --- what comes back ---


def test_a_store_gives_back_what_the_simulated_disk_does_after_every_step(tmp_path: Path) -> None:
    story = recording()
    with Store.open(tmp_path, story.genesis) as store:
        done: dict[bytes, int] = dict.fromkeys(story.members, 0)
        for key, effect in story.steps:
            write(store, (key, effect))
            done[key] += 1
            assert same(store.load(key), disk_after(story.of(key)[: done[key]]))


def test_after_closing_every_member_goes_on_where_it_was(tmp_path: Path) -> None:
    full_store(tmp_path).close()
    with Store.open(tmp_path, recording().genesis) as store:
        assert store.load_experience(KEY) == b"what it saw"
        assert store.members() == sorted([*recording().members, KEY])
        for key in recording().members:
            kept = store.load(key)
            assert same(kept, disk_after(recording().of(key)))
            assert revive(key, kept).state.round == 4
    assert not (tmp_path / f"{schema.FILE}-wal").exists()


def test_a_member_that_never_kept_anything_has_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path, recording().genesis) as store:
        assert store.load(KEY) is None
        assert store.load_experience(KEY) is None
        assert store.newest() is None


def test_members_that_stand_on_one_state_share_its_bytes_and_old_ones_go(tmp_path: Path) -> None:
    with full_store(tmp_path) as store, store.reading() as db:
        counts = {
            table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("newest", "state", "payload")
        }
        states = {id(kept.state) for kept in map(store.load, recording().members) if kept is not None}
    assert counts == {"newest": 5, "state": 1, "payload": 0}
    assert len(states) <= 5


def test_a_new_key_takes_over_all_but_the_record(tmp_path: Path) -> None:
    old, new = recording().members[0], b"n" * 32
    with full_store(tmp_path) as store:
        before = store.load(old)
        store.rekey(old, new).result(timeout=20)
        after, left = store.load(new), store.load(old)
    assert before is not None
    assert after is not None
    assert left is not None
    assert (after.state, after.commit, after.epochs, after.record) == (before.state, before.commit, before.epochs, None)
    with pytest.raises(StoreError, match="a newer state was lost"):
        revive(old, left)  # the old key never signs again


def test_history_is_bounded(tmp_path: Path) -> None:
    with Store.open(tmp_path, recording().genesis, history=2) as store:
        for step in recording().steps:
            write(store, step, wait=False)
        write(store, recording().steps[-1])
        with store.reading() as db:
            assert [row[0] for row in db.execute("SELECT round FROM history ORDER BY round")] == [3, 4]


def test_a_starting_table_comes_back(tmp_path: Path) -> None:
    table = QTable.from_columns([2**64 - 1, 3], [0, 1], [0.1, -2.5], [7, 2**32 - 1])
    with Store.open(tmp_path, recording().genesis) as store:
        assert store.starting_table() is None
        store.start_from(table).result(timeout=20)
        assert store.starting_table() == table


# --- one writer ---


def test_a_second_opener_is_told_who_has_the_store(tmp_path: Path) -> None:
    with Store.open(tmp_path, recording().genesis):
        with pytest.raises(StoreError, match=f"process {os.getpid()} uses this store"):
            Store.open(tmp_path, recording().genesis)
        code = "import sys; from qorum.store import Store; Store.open(sys.argv[1], create=False)"
        other = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60)
        assert f"process {os.getpid()} uses this store" in other.stderr
    Store.open(tmp_path, recording().genesis).close()


def test_others_may_read_while_one_writes(tmp_path: Path) -> None:
    with full_store(tmp_path) as store:
        reader = open_read_only(tmp_path)
        write(store, (KEY, recording().steps[0][1]))
        assert reader.load(KEY) is not None
        assert reader.genesis == recording().genesis


# --- what is refused ---


def test_a_store_of_another_federation_is_refused_and_left_alone(tmp_path: Path) -> None:
    full_store(tmp_path).close()
    other = Genesis(recording().keys.public, FederationConfig(gamma=0.5))
    with pytest.raises(StoreError, match="give each federation a data folder of its own"):
        Store.open(tmp_path, other)
    Store.open(tmp_path, recording().genesis).close()


def test_a_store_that_must_be_there_is_not_made(tmp_path: Path) -> None:
    for opened in (lambda: Store.open(tmp_path / "none", create=False), lambda: open_read_only(tmp_path / "none")):
        with pytest.raises(StoreError, match="there is no store"):
            opened()
    assert not list(tmp_path.iterdir())


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    full_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / schema.FILE)) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    for opened in (lambda: Store.open(tmp_path, recording().genesis), lambda: open_read_only(tmp_path)):
        with pytest.raises(StoreError, match="use a newer qorum"):
            opened()


def test_an_older_version_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    full_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / schema.FILE)) as db:  # as the first version made it
        for table in ("experience", "start"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreError, match="start its node once"):
        open_read_only(tmp_path)
    with Store.open(tmp_path, recording().genesis) as store:
        for key in recording().members:
            assert same(store.load(key), disk_after(recording().of(key)))
        store.experience(KEY, b"new").result(timeout=20)
        assert store.load_experience(KEY) == b"new"
    open_read_only(tmp_path)


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / schema.FILE
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no store of qorum"):
        Store.open(path, recording().genesis)
    assert path.read_bytes() == before


def test_an_older_copy_is_refused_however_often_it_is_tried(tmp_path: Path) -> None:
    path = tmp_path / schema.FILE
    full_store(tmp_path).close()
    shutil.copy(path, tmp_path / "older")
    with Store.open(tmp_path, recording().genesis) as store:
        write(store, recording().steps[-1])
    shutil.copy(tmp_path / "older", path)
    for _ in range(4):
        with pytest.raises(StoreError, match="an older copy"):
            Store.open(tmp_path, recording().genesis)


# --- faults of the disk ---


def assert_stopped_and_complete(store: Store, acknowledged: int, why: str) -> None:
    """It says why, takes no more, and after a restart has at least what it acknowledged."""
    assert store.failed is not None
    assert why in store.failed
    with pytest.raises(StoreError, match=why):
        store.persist(KEY, b"more").result(timeout=20)
    store.close()
    with Store.open(store.path, recording().genesis) as again:
        assert again.load(KEY) is None
        assert_complete(again, acknowledged)


def assert_complete(store: Reader, acknowledged: int) -> None:
    """Every member comes back with what it has after some step from the last acknowledged one on."""
    story = recording()
    for key in story.members:
        ends = [sum(who == key for who, _ in story.steps[:end]) for end in range(acknowledged, len(story.steps) + 1)]
        kept = store.load(key)
        assert any(same(kept, disk_after(story.of(key)[:end])) for end in sorted(set(ends)))
        revive(key, kept)


def write_until_it_fails(store: Store) -> int:
    """How many steps were acknowledged, one by one."""
    for number, step in enumerate(recording().steps):
        try:
            write(store, step)
        except StoreError:
            return number
    with pytest.raises(StoreError):
        store.experience(KEY, bytes(4 << 20)).result(timeout=20)
    return len(recording().steps)


@pytest.mark.parametrize("pages", [0, 10])
def test_a_full_disk_stops_the_store_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    durable = schema.make_durable

    def small(db: sqlite3.Connection) -> None:
        durable(db)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + pages}")

    Store.open(tmp_path, recording().genesis).close()
    monkeypatch.setattr(schema, "make_durable", small)
    store = Store.open(tmp_path, recording().genesis)
    acknowledged = write_until_it_fails(store)
    monkeypatch.undo()
    assert_stopped_and_complete(store, acknowledged, "the disk is full")


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The system refuses to write to any file past so many bytes."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such limit")
@pytest.mark.parametrize("size", [150_000, 400_001, 1_000_000, 3_000_000])
def test_writes_that_the_system_refuses_stop_the_store_and_lose_nothing(tmp_path: Path, size: int) -> None:
    with no_file_beyond(size):
        store = Store.open(tmp_path, recording().genesis)
        acknowledged = write_until_it_fails(store)
    assert_stopped_and_complete(store, acknowledged, "the disk fails")


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder of a user to whom file permissions apply, as they do not to root."""
    folder = Path(tempfile.mkdtemp())
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_that_can_only_be_read_can_be_read() -> None:
    with nobody() as folder:
        full_store(folder).close()
        folder.chmod(0o555)
        reader = open_read_only(folder)
        assert all(same(reader.load(key), disk_after(recording().of(key))) for key in recording().members)
        with pytest.raises(StoreError, match=r"copy\.sqlite"):
            reader.backup(folder / "copy.sqlite")


def test_what_can_only_be_read_is_not_opened_for_writing() -> None:
    with nobody() as folder:
        full_store(folder).close()
        (folder / schema.FILE).chmod(0o444)
        with pytest.raises(StoreError, match=r"it can only be read\. Make file, folder and disk writable"):
            Store.open(folder, recording().genesis)
        (folder / f"{schema.FILE}-lock").unlink()
        folder.chmod(0o555)
        with pytest.raises(StoreError, match="needs a folder that it can write to"):
            Store.open(folder, recording().genesis)


def overwrite(path: Path, random: Random) -> None:
    """Some bytes of a file become others."""
    data = bytearray(path.read_bytes())
    at, size = random.randrange(len(data)), random.choice([1, 16, 256])
    data[at : at + size] = random.randbytes(len(data[at : at + size]))
    path.write_bytes(data)


def test_a_damaged_file_is_noticed_or_harmless(tmp_path: Path) -> None:
    end = max(number for number, (_, effect) in enumerate(recording().steps) if isinstance(effect, Keep)) + 1
    disks = {key: disk_after([e for who, e in recording().steps[:end] if who == key]) for key in recording().members}
    with Store.open(tmp_path, recording().genesis) as store:
        for step in recording().steps[:end]:
            write(store, step, wait=False)
    noticed = 0
    for seed in range(50):
        folder = tmp_path / str(seed)
        folder.mkdir()
        shutil.copy(tmp_path / schema.FILE, folder)
        overwrite(folder / schema.FILE, Random(seed))
        try:
            with Store.open(folder, recording().genesis) as store:
                for key, disk in disks.items():
                    assert same(store.load(key), disk), seed
        except StoreError:
            noticed += 1
        shutil.rmtree(folder)
    assert noticed > 5


def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / schema.FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="must not sign again: give each a new key"):
        Store.open(tmp_path, recording().genesis)


# --- killed ---

CHILD = """
import sys
from qorum.store import Store
from tests.store.recorded import recording, write
with Store.open(sys.argv[1], recording().genesis) as store:
    for number, step in enumerate(recording().steps):
        write(store, step)
        print(number + 1, flush=True)
    sys.stdin.read()
"""


def killed(folder: Path, after: int) -> int:
    """Kill a process that writes a store, once it has acknowledged so many steps; returns how many it had."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, folder],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdin is not None
    for line in child.stdout:
        if int(line) >= after:
            break
    child.send_signal(signal.SIGKILL)
    acknowledged = [int(line), *map(int, child.stdout)][-1]
    child.wait(timeout=20)
    child.stdin.close()
    child.stdout.close()
    return acknowledged


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_was_acknowledged_before_a_kill_is_there(tmp_path: Path) -> None:
    random = Random(5)
    for number in range(3):
        folder = tmp_path / str(number)
        acknowledged = killed(folder, random.randint(1, len(recording().steps)))
        assert_complete(open_read_only(folder), acknowledged)
        with Store.open(folder, recording().genesis) as store:
            assert_complete(store, acknowledged)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_log_that_was_damaged_after_a_kill_is_noticed_or_harmless(tmp_path: Path) -> None:
    acknowledged = killed(tmp_path / "killed", len(recording().steps) // 2)
    noticed = 0
    for seed in range(20):
        folder = tmp_path / str(seed)
        shutil.copytree(tmp_path / "killed", folder)
        overwrite(folder / f"{schema.FILE}-wal", Random(seed))
        try:
            with Store.open(folder, recording().genesis) as store:
                assert_complete(store, acknowledged)
        except StoreError:
            noticed += 1
    assert noticed > 5


# --- backup ---


def test_a_backup_of_a_running_store_is_whole_and_nobody_signs_with_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with full_store(tmp_path) as store:
        store.backup(copy)
        write(store, (KEY, recording().steps[0][1]))
        with pytest.raises(StoreError, match="exists and was left alone"):
            store.backup(copy)
    assert [file.name for file in tmp_path.glob("copy*")] == ["copy.sqlite"]
    reader = open_read_only(copy)
    assert reader.load(KEY) is None
    assert all(same(reader.load(key), disk_after(recording().of(key))) for key in recording().members)
    with pytest.raises(StoreError, match="is a backup"):
        Store.open(copy, recording().genesis)


def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with full_store(tmp_path) as store:
        with pytest.raises(StoreError, match="nowhere"):
            store.backup(tmp_path / "nowhere" / "copy.sqlite")
        assert store.failed is None


def test_the_recording_tells_of_everything_there_is_to_keep() -> None:
    kinds = {type(effect) for _, effect in recording().steps}
    assert len(kinds) == 3
    assert any(effect.epochs for _, effect in recording().steps if isinstance(effect, Committed))
    assert any(effect.items for _, effect in recording().steps if isinstance(effect, Keep))
