"""What the members of a node must not lose, in one SQLite file: see `Store`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qorum.store.kept import Kept
    from qorum.store.reader import Reader, open_read_only
    from qorum.store.store import Store

__all__ = ["Kept", "Reader", "Store", "open_read_only"]

_HOMES = {"Kept": "kept", "Reader": "reader", "Store": "store", "open_read_only": "reader"}
"""Name -> the module that defines it, imported when it is first used: browsers have no SQLite."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qorum.store' has no attribute {name!r}")
    return getattr(import_module(f"qorum.store.{_HOMES[name]}"), name)
