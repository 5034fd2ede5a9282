"""The writer: one thread, one transaction at a time. What is asked for while one is synced goes into the next together.

A disk syncs some hundred times a second, whatever is written: many members share each sync, and none waits for more
than two of them.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import NamedTuple

from qorum.errors import StoreError
from qorum.store.lock import Lock
from qorum.store.schema import explain

CLOSE_S = 30.0
"""How long `close` waits for the disk."""


Run = Callable[[sqlite3.Connection], object]
"""What a write does, inside a transaction."""


class Write(NamedTuple):
    """One part of a transaction."""

    run: Run
    size: int
    done: Future[None]


class Writer:
    """Owns the connection that writes. Nothing that is asked for after a write that failed is ever written.

    So whoever asked for several need only wait for the last.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, lock: Lock, limit: int) -> None:
        """limit: bytes that may wait to be written."""
        self.failed: str | None = None
        """Why nothing is written any more."""
        self._path, self._db, self._lock, self._limit = path, db, lock, limit
        self._waiting: deque[Write] = deque()
        self._bytes = 0
        self._closing = False
        self._changed = Condition()
        self._thread = Thread(target=self._loop, name=f"store {path.name}", daemon=True)
        self._thread.start()

    def submit(self, run: Run, size: int) -> Future[None]:
        """Run this inside the next transaction. The future is done once that is on the disk; it cannot be cancelled.

        It holds a `StoreError` if that failed, if anything failed before, or if too much is waiting already.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        with self._changed:
            refusal = self._refusal(size)
            if refusal is None:
                self._waiting.append(Write(run, size, done))
                self._bytes += size
                self._changed.notify()
        if refusal is not None:
            done.set_exception(StoreError(refusal))
        return done

    def _refusal(self, size: int) -> str | None:
        if self.failed is None and self._closing:
            return f"store {self._path} is closed"
        if self.failed is None and self._waiting and self._bytes + size > self._limit:
            self.failed = (
                f"store {self._path}: the disk is too slow: {self._bytes} bytes wait for it, and {size} more are over "
                f"the {self._limit} that may. Use a faster disk, or host fewer members"
            )
        return self.failed

    def close(self) -> None:
        """Write what waits, then close the connection. Raises `StoreError` if the disk does not answer in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            raise StoreError(f"store {self._path}: the disk has not taken the last writes in {CLOSE_S:.0f} s")

    # --- the thread ---

    def _loop(self) -> None:
        while batch := self._next():
            try:
                self._commit(batch)
            except Exception as error:
                self._fail(error, batch)
                break
            for write in batch:
                write.done.set_result(None)
        self._db.close()

    def _next(self) -> list[Write]:
        """All that waits, once something does; nothing once the store is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            batch = list(self._waiting)
            self._waiting.clear()
            self._bytes = 0
        return batch

    def _commit(self, batch: list[Write]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for write in batch:
            write.run(self._db)
        self._db.execute("UPDATE life SET transactions = transactions + 1")
        self._db.execute("COMMIT")
        self._lock.note(self._lock.acknowledged + 1)

    def _fail(self, error: Exception, batch: list[Write]) -> None:
        """Say why to all who wait. What is part of this transaction may be there after a restart, or may not."""
        with self._changed:
            why = self.failed = self.failed or explain(self._path, error)
            batch += self._waiting
            self._waiting.clear()
        if self._db.in_transaction:
            with suppress(sqlite3.Error):  # the log ends where the last whole transaction does
                self._db.rollback()
        for write in batch:
            write.done.set_exception(StoreError(why))
