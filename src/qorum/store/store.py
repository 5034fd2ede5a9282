"""`Store`: what the members of a node must not lose, in one file, written by one process."""

from __future__ import annotations

import sqlite3
import sys
import time
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from qorum.core import wire
from qorum.core.effects import Committed, Keep
from qorum.core.genesis import Genesis
from qorum.core.messages import Commit, Value
from qorum.core.state import State
from qorum.errors import StoreError
from qorum.qtable import QTable
from qorum.store import schema
from qorum.store.kept import Payload, pack_table
from qorum.store.lock import Lock
from qorum.store.reader import Reader, federation
from qorum.store.seal import seal
from qorum.store.writer import Writer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

QUEUE_BYTES = 256 << 20
"""What may wait for the disk; states are not counted, their members hold them anyway."""
STATE_LEVEL = 1
"""Of compression: the level above takes longer and saves nothing."""

_RECORD = "INSERT INTO record VALUES (?, ?) ON CONFLICT (member) DO UPDATE SET data = excluded.data"
_EXPERIENCE = "INSERT INTO experience VALUES (?, ?) ON CONFLICT (member) DO UPDATE SET data = excluded.data"
_START = "INSERT INTO start VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET data = excluded.data"
_NEWEST = """INSERT INTO newest VALUES (?, ?, ?)
    ON CONFLICT (member) DO UPDATE SET state = excluded.state, proof = excluded.proof"""


class Store(Reader):
    """Durable state of all members that a node hosts; `Reader` has what it gives back.

    Each write returns a future that is done once its bytes are on the disk, and those of every write asked for before.
    A future of a failed write holds a `StoreError`; from then on `failed` says why, and no later write succeeds.
    Methods may be called from any thread.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, lock: Lock, history: int, queue_bytes: int) -> None:
        """For `open`, which has checked everything."""
        super().__init__(path)
        self._history, self._lock = history, lock
        self._writer = Writer(path, db, lock, queue_bytes)

    @classmethod
    def open(
        cls,
        path: str | Path,
        genesis: Genesis | None = None,
        *,
        history: int = 1000,
        create: bool = True,
        queue_bytes: int = QUEUE_BYTES,
    ) -> Store:
        """Open, or create, the store at `path`: a file, or a folder that holds it. Reads all of it to see it is sound.

        genesis: what it must be a store of; None takes what it says. history: rounds, at least 1, whose commits are
        kept for `inspect`. create: whether there may be none yet. queue_bytes: what may wait for the disk.

        Raises `StoreError`: in use, damaged, a backup, an older copy of itself, of another federation, of a newer
        version, or not writable.
        """
        file = schema.database(path)
        if history < 1:
            raise StoreError(f"history is {history}; allowed: 1 or more rounds")
        if not file.exists() and (not create or genesis is None):
            raise StoreError(f"there is no store at {file}; give the data folder of a node, or the file in it")
        with schema.explained(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = Lock(file.with_name(f"{file.name}-lock"))
            try:
                return cls(file, _opened(file, genesis, lock), lock, history, queue_bytes)
            except BaseException:
                lock.release()
                raise

    @property
    def failed(self) -> str | None:
        """Why nothing is written any more; None while all is well."""
        return self._writer.failed

    @property
    def transactions(self) -> int:
        """How many were acknowledged since the store was made; each is one sync of the disk."""
        return self._lock.acknowledged

    def persist(self, key: bytes, record: bytes) -> Future[None]:
        """Make the record of a `Persist` durable, in place of the one before."""
        return self._writer.submit(lambda db: db.execute(_RECORD, (key, seal(record))), len(record))

    def keep(self, key: bytes, payload: Keep) -> Future[None]:
        """Make a `Keep` durable, until the member's next `committed`."""
        data = msgspec.msgpack.encode(Payload(payload.cut, payload.items))
        return self._writer.submit(lambda db: _write_payload(db, key, data), len(data))

    def committed(self, key: bytes, agreed: Committed) -> Future[None]:
        """Make an agreed round durable, in place of the one before. Members that stand on one state share its bytes."""
        size = sum(len(commit.value) + len(commit.certificate.signatures) for commit in (agreed.commit, *agreed.epochs))
        return self._writer.submit(lambda db: _write_round(db, key, agreed, self._history), size)

    def experience(self, key: bytes, data: bytes) -> Future[None]:
        """Make an agent's own experience durable, in place of what was there."""
        return self._writer.submit(lambda db: db.execute(_EXPERIENCE, (key, seal(data))), len(data))

    def start_from(self, table: QTable) -> Future[None]:
        """Make a table durable that agents begin with until there is an agreed one. It is nobody's evidence."""
        data = pack_table(table)
        return self._writer.submit(lambda db: db.execute(_START, (seal(data),)), len(data))

    def rekey(self, old: bytes, new: bytes) -> Future[None]:
        """Hand what a member kept on to its new key, but for the record: what the old one signed binds the old one."""
        return self._writer.submit(lambda db: _write_rekey(db, old, new), len(new))

    def close(self) -> None:
        """Write what waits and let others have the store. Raises `StoreError` if the disk does not answer in time."""
        self._writer.close()
        self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- opening ---


def _opened(file: Path, genesis: Genesis | None, lock: Lock) -> sqlite3.Connection:
    """The connection that writes, to a sound database of this version that was written to once more."""
    db = schema.connect(file, "rwc")
    try:
        version = schema.check_kind(db, file)
        schema.check_sound(db, file)
        schema.make_durable(db)
        db.execute("BEGIN IMMEDIATE")
        schema.migrate(db, version)
        if version == 0:
            _found(db, file, genesis)
        _check_federation(db, file, genesis)
        _check_age(db, file, lock.acknowledged)
        db.execute("UPDATE life SET transactions = transactions + 1")
        transactions = db.execute("SELECT transactions FROM life").fetchone()[0]
        db.execute("COMMIT")
        lock.note(transactions)
    except BaseException:
        db.close()  # nothing was changed
        raise
    return db


def _found(db: sqlite3.Connection, file: Path, genesis: Genesis | None) -> None:
    if genesis is None:
        raise StoreError(f"there is no store in {file}, which is empty; give the data folder of a node")
    data = genesis.federation + msgspec.msgpack.encode(genesis)
    db.execute("INSERT INTO federation VALUES (1, ?)", (seal(data),))
    db.execute("INSERT INTO life VALUES (1, 0, 0)")


def _check_federation(db: sqlite3.Connection, file: Path, genesis: Genesis | None) -> None:
    id, _ = federation(db, file)
    if genesis is not None and id != genesis.federation:
        raise StoreError(
            f"store {file} is of federation {id.hex()[:16]}, not of {genesis.federation.hex()[:16]}: "
            "give each federation a data folder of its own"
        )


def _check_age(db: sqlite3.Connection, file: Path, acknowledged: int) -> None:
    """Whoever signs after it forgot what it had signed may contradict itself, and be convicted of it."""
    transactions, backup = db.execute("SELECT transactions, backup FROM life").fetchone()
    if backup:
        raise StoreError(
            f"{file} is a backup, to inspect and to export from. Its members may have signed since: to go on "
            "without the original, give each a new key. To move a node, stop it and move its whole folder"
        )
    if transactions < acknowledged:
        raise StoreError(
            f"store {file} was at transaction {acknowledged} and is back at {transactions}: an older copy, or its "
            "log was damaged. Its members may have signed since: bring back the newest files, or give each a new key"
        )


# --- inside a transaction ---


def _write_payload(db: sqlite3.Connection, key: bytes, data: bytes) -> None:
    hash = sha256(data).digest()
    db.execute("INSERT INTO payload VALUES (?, ?) ON CONFLICT DO NOTHING", (hash, data))
    db.execute("INSERT INTO keeps (member, payload) VALUES (?, ?) ON CONFLICT DO NOTHING", (key, hash))


def _write_round(db: sqlite3.Connection, key: bytes, agreed: Committed, history: int) -> None:
    _write_state(db, agreed.state)
    proof = seal(wire.encode(agreed.commit))
    db.execute(_NEWEST, (key, agreed.state.hash, proof))
    for commit in agreed.epochs:
        row = (key, _epoch(commit), seal(wire.encode(commit)))
        db.execute("INSERT INTO epoch VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)
    _write_history(db, agreed, proof, history)
    db.execute("DELETE FROM keeps WHERE member = ?", (key,))
    db.execute("DELETE FROM payload WHERE hash NOT IN (SELECT payload FROM keeps)")
    db.execute("DELETE FROM state WHERE hash NOT IN (SELECT state FROM newest)")


def _write_rekey(db: sqlite3.Connection, old: bytes, new: bytes) -> None:
    for table in ("newest", "epoch", "keeps", "experience"):
        db.execute(f"UPDATE {table} SET member = ? WHERE member = ?", (new, old))


def _write_state(db: sqlite3.Connection, state: State) -> None:
    """Once for all members that stand on it: at hundreds of members it is megabytes."""
    if db.execute("SELECT 1 FROM state WHERE hash = ?", (state.hash,)).fetchone() is None:
        data = state.to_bytes()
        row = (state.hash, state.round, len(data), zstd.compress(data, STATE_LEVEL))
        db.execute("INSERT INTO state VALUES (?, ?, ?, ?)", row)


def _write_history(db: sqlite3.Connection, agreed: Committed, proof: bytes, history: int) -> None:
    """For onlookers: one commit a round, though members hold different certificates."""
    state, value = agreed.state, agreed.commit.certificate.value
    excluded = np.packbits(state.excluded, bitorder="little").tobytes()
    row = (state.round, value, time.time(), len(agreed.entries), len(state.cells), excluded, proof)
    db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
    db.execute("DELETE FROM history WHERE round <= ?", (state.round - history,))


def _epoch(commit: Commit) -> int:
    return wire.decode_body(Value, commit.value).epoch
