"""`Kept`: what a member is made of after a restart, wherever it was kept meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from qorum.core.effects import Keep
from qorum.core.messages import Commit, Item
from qorum.core.state import State


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
