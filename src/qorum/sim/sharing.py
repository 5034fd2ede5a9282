"""Results shared between simulated members. They are pure functions of their input, so sharing changes nothing but time.

Every simulated member verifies every signature, decodes every frame and merges every round; each of these is done once and
remembered for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from qorum.core import wire
from qorum.core.genesis import Genesis
from qorum.core.member import Engine
from qorum.core.messages import Item
from qorum.core.state import Entry, State
from qorum.errors import ProtocolError
from qorum.identity import verify

Result = TypeVar("Result")


class Memory:
    """The newest results of one function, by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._results: OrderedDict[Hashable, object] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """The result for `key`. A `ProtocolError` is a result too, raised again each time."""
        if key not in self._results:
            try:
                self._results[key] = compute()
            except ProtocolError as error:
                self._results[key] = error
            if len(self._results) > self._capacity:
                self._results.popitem(last=False)
        result = self._results[key]
        if isinstance(result, ProtocolError):
            raise result
        return result  # type: ignore[return-value]


def shared_engine(members: int) -> Engine:
    """The core's costly functions with a memory that all members of one simulation share."""
    verified, read, applied, decoded = (Memory(64 * members + 1024) for _ in range(4))
    applied = Memory(32)  # states are large

    def apply(state: State, entries: list[Entry]) -> State:
        return applied.get((state.hash, tuple(entry.hash for entry in entries)), lambda: state.apply(entries))

    def read_item(item: Item, genesis: Genesis) -> Entry:
        return read.get(item.body, lambda: Entry.read(item, genesis))

    return Engine(
        verify=lambda key, data, signature: verified.get(
            (key, data, signature), lambda: verify(key, data, signature)
        ),
        read=read_item,
        apply=apply,
        decode=lambda frame: decoded.get(frame, lambda: wire.decode(frame)),
    )
