"""What the members of a node must not lose, in one SQLite file: see `Store`."""

from __future__ import annotations

from qorum.store.reader import Kept, Reader, open_read_only
from qorum.store.store import Store

__all__ = ["Kept", "Reader", "Store", "open_read_only"]
