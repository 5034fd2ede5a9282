"""Results shared by the members of one process: pure functions of their input, so sharing changes nothing but time.

Each member verifies every signature, decodes every frame and merges every round; where many live in one process, each
of these is done once and remembered for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from qorum.core import wire
from qorum.core.consensus import forged
from qorum.core.genesis import Genesis
from qorum.core.member import Engine
from qorum.core.messages import Change, Item, Items, Message, Votes
from qorum.core.roster import Roster
from qorum.core.state import Entry, State
from qorum.core.verify import Verify

_hash_of = attrgetter("hash")
Decode = Callable[[bytes], Message]
Forged = Callable[[Votes, int, Roster, Verify], int | None]

ITEMS = 1 << 16
"""Items kept at most."""
STATES = 32
"""States kept; they are large."""


def shared_engine(
    genesis: Genesis, verify: Verify, *, results: int | None = None, states: int = STATES
) -> Engine:
    """The core's costly functions with a memory that all members of one process share.

    results: how many of each function are remembered, by default enough for all members of the federation at once.
    """
    results = results or 64 * genesis.members + 1024
    remember = lru_cache(results)
    check = remember(verify)
    read = remember(lambda item, key: Entry.read(item, key, genesis, check))
    return Engine(
        verify=check,
        forged=_checking(remember(lambda votes, roster_hash: _Proven()), check),
        read=lambda item, key, _genesis, _verify: read(item, key),
        apply=_remembering_apply(states),
        decode=_interning(remember, min(ITEMS, 4 * results)),
    )


@dataclass(slots=True)
class _Proven:
    """Votes of one message that were found signed."""

    mask: int = 0


def _checking(proven_of: Callable[[Votes, bytes], _Proven], check: Verify) -> Forged:
    """A check of votes that looks at each vote of a message once, however many members the message comes to."""

    def first_forged(votes: Votes, voters: int, roster: Roster, _verify: Verify) -> int | None:
        proven = proven_of(votes, roster.hash)
        unproven = voters & ~proven.mask
        voter = forged(votes, unproven, roster, check) if unproven else None
        if voter is None:
            proven.mask |= unproven
        return voter

    return first_forged


def _interning(remember: Callable[[Decode], Decode], limit: int) -> Decode:
    """Decoding that gives one object for one item, whatever frames it comes in."""
    items: dict[Item, Item] = {}

    def decode(frame: bytes) -> Message:
        message = wire.decode(frame)
        if isinstance(message, Items):
            if len(items) > limit:
                items.clear()
            message = Items(tuple(items.setdefault(item, item) for item in message.items))
        return message

    return remember(decode)


def _remembering_apply(limit: int) -> Callable[[State, list[Entry], Change | None], State]:
    results: OrderedDict[tuple[object, ...], State] = OrderedDict()

    def apply(state: State, entries: list[Entry], change: Change | None) -> State:
        key = (state.hash, change, *map(_hash_of, entries))
        if key not in results:
            results[key] = state.apply(entries, change)
            if len(results) > limit:
                results.popitem(last=False)
        return results[key]

    return apply
