"""`Kept`: what a member is made of after a restart, wherever it was kept meanwhile; and how its parts are written."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from qorum.core.effects import Keep
from qorum.core.messages import Commit, Item
from qorum.core.state import State
from qorum.qtable import QTable


@dataclass(frozen=True, slots=True)
class Kept:
    """Each field is the argument of `Member` of the same name."""

    state: State | None = None
    """None before the first agreed round."""
    commit: Commit | None = None
    record: bytes | None = None
    """None if it never had to remember anything: it has signed nothing."""
    epochs: tuple[Commit, ...] = ()
    payloads: tuple[Keep, ...] = ()


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """A `Keep` as it is stored."""

    cut: bytes
    items: tuple[Item, ...]


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    """A `QTable` as it is stored."""

    state_hash: list[int]
    action: list[int]
    value: list[float]
    visits: list[int]


_columns = msgspec.msgpack.Decoder(_Columns)


def pack_table(table: QTable) -> bytes:
    """A table in bytes."""
    columns = (table.state_hash, table.action, table.value, table.visits)
    return msgspec.msgpack.encode(_Columns(*(column.tolist() for column in columns)))


def unpack_table(data: bytes) -> QTable:
    """Undo `pack_table`. Raises `msgspec.DecodeError`."""
    table = _columns.decode(data)
    return QTable.from_columns(table.state_hash, table.action, table.value, table.visits)
