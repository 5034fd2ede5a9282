"""Results shared between simulated members: pure functions of their input, so sharing changes nothing but time.

Every simulated member verifies every signature, decodes every frame and merges every round; each of these is done once
and remembered for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from qorum.core import wire
from qorum.core.genesis import Genesis
from qorum.core.member import Engine
from qorum.core.state import Entry, State
from qorum.identity import verify

STATES = 32
"""States kept; they are large."""


def shared_engine(genesis: Genesis) -> Engine:
    """The core's costly functions with a memory that all members of one simulation share."""
    remember = lru_cache(64 * genesis.members + 1024)
    read = remember(lambda item: Entry.read(item, genesis))
    return Engine(
        verify=remember(verify),
        read=lambda item, _: read(item),
        apply=_remembering_apply(),
        decode=remember(wire.decode),
    )


def _remembering_apply() -> Callable[[State, list[Entry]], State]:
    results: OrderedDict[tuple[bytes, ...], State] = OrderedDict()

    def apply(state: State, entries: list[Entry]) -> State:
        key = (state.hash, *(entry.hash for entry in entries))
        if key not in results:
            results[key] = state.apply(entries)
            if len(results) > STATES:
                results.popitem(last=False)
        return results[key]

    return apply
