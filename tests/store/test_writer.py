"""Group commit: what waits while a transaction is under way goes into the next one together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from qorum.errors import StoreError
from qorum.store import schema, writer
from qorum.store.lock import Lock
from qorum.store.writer import Writer

Bench = tuple[Writer, Lock]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A writer to a table of numbers, of which 1000 bytes may wait."""
    lock, db = Lock(tmp_path / "lock"), schema.connect(tmp_path / "db.sqlite", "rwc")
    schema.make_durable(db)
    schema.migrate(db, 0)
    db.execute("INSERT INTO life VALUES (1, 0, 0)")
    db.execute("CREATE TABLE number (n INTEGER)")
    made = Writer(tmp_path / "db.sqlite", db, lock, 1000)
    yield made, lock
    made.close()
    lock.release()


def insert(number: int) -> writer.Run:
    return lambda db: db.execute("INSERT INTO number VALUES (?)", (number,))


def numbers(path: Path) -> list[int]:
    with closing(schema.connect(path / "db.sqlite", "ro")) as db:
        return [row[0] for row in db.execute("SELECT n FROM number ORDER BY rowid")]


def hold(made: Writer) -> Event:
    """Let a transaction begin, and last until the event is set."""
    begun, end = Event(), Event()

    def wait(db: sqlite3.Connection) -> None:
        begun.set()
        assert end.wait(20)

    made.submit(wait, 1)
    assert begun.wait(20)
    return end


def test_all_that_waits_shares_one_transaction_in_order(bench: Bench, tmp_path: Path) -> None:
    made, lock = bench
    end = hold(made)
    futures = [made.submit(insert(number), 1) for number in range(100)]
    assert not any(future.done() for future in futures)
    end.set()
    for future in futures:
        future.result(timeout=20)
    assert numbers(tmp_path) == list(range(100))
    assert lock.acknowledged == 2


def test_more_than_may_wait_is_refused_and_so_is_all_after_it(bench: Bench, tmp_path: Path) -> None:
    made, _ = bench
    end = hold(made)
    first = made.submit(insert(1), 5000)  # larger than all that may wait: alone it may
    refused = made.submit(insert(2), 1)
    end.set()
    first.result(timeout=20)
    for future in (refused, made.submit(insert(3), 1)):
        with pytest.raises(StoreError, match="5000 bytes wait for it, and 1 more are over the 1000"):
            future.result(timeout=20)
    assert made.failed is not None
    assert numbers(tmp_path) == [1]


def test_an_error_takes_the_whole_transaction_and_all_after_it(bench: Bench, tmp_path: Path) -> None:
    made, _ = bench
    made.submit(insert(0), 1).result(timeout=20)
    end = hold(made)
    futures = [made.submit(insert(1), 1), made.submit(lambda db: db.execute("nonsense"), 1), made.submit(insert(2), 1)]
    end.set()
    for future in futures:
        with pytest.raises(StoreError, match="nonsense"):
            future.result(timeout=20)
    with pytest.raises(StoreError, match="nonsense"):
        made.submit(insert(3), 1).result(timeout=20)
    assert numbers(tmp_path) == [0]


def test_closing_writes_what_waits_and_takes_no_more(bench: Bench, tmp_path: Path) -> None:
    made, _ = bench
    futures = [made.submit(insert(number), 1) for number in range(20)]
    made.close()
    assert all(future.done() for future in futures)
    assert numbers(tmp_path) == list(range(20))
    with pytest.raises(StoreError, match="is closed"):
        made.submit(insert(20), 1).result(timeout=20)


def test_a_disk_that_does_not_answer_is_waited_for_so_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = bench
    monkeypatch.setattr(writer, "CLOSE_S", 0.05)
    end = hold(made)
    with pytest.raises(StoreError, match="has not taken the last writes"):
        made.close()
    monkeypatch.undo()
    end.set()


def test_a_write_that_is_waited_for_cannot_be_cancelled(bench: Bench) -> None:
    made, _ = bench
    end = hold(made)
    future = made.submit(insert(1), 1)
    assert not future.cancel()
    end.set()
    future.result(timeout=20)
