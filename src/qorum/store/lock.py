"""The lock of a store: one process writes it, and it never goes back to what it was before.

A file beside the database holds the lock, the process id of its holder, and how many transactions were acknowledged. A
database with fewer is an older copy, or one whose log was cut short: whoever signed with it could sign against itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType

from qorum.errors import StoreError

fcntl: ModuleType | None
msvcrt: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl, msvcrt = None, __import__("msvcrt")

PATIENCE_S = 0.5
"""How long to wait for a holder that is just ending."""
_PAUSE_S = 0.02
_WIDTH = 48
_LOCKED_BYTE = 1 << 20
"""Past the contents, so that others can read them where locks are mandatory."""


class Lock:
    """Held from construction to `release`, or to the end of the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreError`: another process, or another store of this one, holds it; or the file cannot be made."""
        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; a store needs a folder that it can write to") from error
        deadline = time.monotonic() + PATIENCE_S
        while not self._try():
            if time.monotonic() > deadline:
                holder = self._contents()[0]
                self._file.close()
                raise StoreError(f"{path}: process {holder or 'unknown'} uses this store; stop it, or use another")
            time.sleep(_PAUSE_S)
        self.acknowledged = self._contents()[1]
        """Transactions that were acknowledged before; 0 if that is not known."""
        self.note(self.acknowledged)

    def note(self, acknowledged: int) -> None:
        """So many are acknowledged. Not synced: it survives the process, and never runs ahead of the database."""
        self.acknowledged = acknowledged
        self._file.seek(0)
        self._file.write(f"{os.getpid()} {acknowledged}".ljust(_WIDTH).encode() + b"\n")

    def release(self) -> None:
        """Let others have it. The file stays: whoever waits for it has it open already."""
        self._file.close()

    def _contents(self) -> tuple[int, int]:
        """Process id of the holder and transactions acknowledged; zeros if nothing or nonsense is there."""
        self._file.seek(0)
        words = self._file.read(_WIDTH).split()
        if len(words) != 2 or not all(word.isdigit() for word in words):
            return 0, 0
        return int(words[0]), int(words[1])

    def _try(self) -> bool:
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            elif msvcrt is not None:
                self._file.seek(_LOCKED_BYTE)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
