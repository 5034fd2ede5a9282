"""No buffer grows without bound, whatever liars send."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from qorum.core.catchup import FETCHED_AT_ONCE, SNAPSHOTS
from qorum.core.consensus import VALUES_KEPT
from qorum.core.docket import PETITIONS
from qorum.core.gossip import HEARD_LIMIT, SOURCES
from qorum.core.member import EARLY_BYTES, Member
from qorum.core.streams import KEPT_ROUNDS, WAITING
from qorum.core.values import KEPT as CUTS_KEPT
from qorum.core.votes import TERMS_AHEAD, TERMS_KEPT, Slot
from qorum.sim.invariants.invariant import Invariant, Scene, named


class Bound(NamedTuple):
    """One buffer of a member and how large it may be."""

    what: str
    size: Callable[[Member], int]
    limit: Callable[[Member, int], int]
    """In items, of a member and the number of hosts that may speak to it: O(n), or a constant."""


def _a_round(member: Member) -> int:
    """Items that a round may take."""
    return member.roster.members * member.genesis.config.max_items_per_round


def _slots(member: Member) -> list[Slot]:
    return list(member.consensus.tally._slots.values())


BOUNDS = (
    # What waits, what rounds took lately, and what was fetched late in this round.
    Bound("stream items", lambda m: len(m.streams._entries), lambda m, _: (WAITING + KEPT_ROUNDS + 1) * _a_round(m)),
    Bound("tally slots", lambda m: len(_slots(m)), lambda m, _: 2 * (TERMS_KEPT + TERMS_AHEAD + 1)),
    # Two bodies a voter, and those of certificates, of which a term has one.
    Bound("bodies of a slot", lambda m: max((len(slot.masks) for slot in _slots(m)), default=0),
          lambda m, _: 2 * m.roster.members + 1),
    Bound("proposals", lambda m: len(m.consensus.proposals), lambda m, _: TERMS_AHEAD + 2),
    Bound("value bodies", lambda m: len(m.consensus.values), lambda m, _: VALUES_KEPT),
    Bound("cuts", lambda m: len(m.values._cuts), lambda m, _: CUTS_KEPT),
    Bound("sketches", lambda m: len(m.values._sketches), lambda m, _: CUTS_KEPT),
    Bound("outcomes", lambda m: len(m.values._outcomes), lambda m, _: CUTS_KEPT),
    # Values are judged when their term comes, and the one that was decided when it was.
    Bound("values that lack something", lambda m: len(m._gaps), lambda m, _: m.consensus.term + 2),
    Bound("early messages", lambda m: len(m._early), lambda m, _: 4 * m.roster.members),
    Bound("bytes of early messages", lambda m: m._early_bytes, lambda m, _: EARLY_BYTES),
    Bound("proofs of rounds", lambda m: len(m.service._proofs), lambda m, _: KEPT_ROUNDS),
    # A value, its cut and the items it lacks, of each proposal that may wait.
    Bound("pulls for consensus", lambda m: sum(asked.needed for asked in m.gossip._asked.values()),
          lambda m, _: (TERMS_AHEAD + 2) * (_a_round(m) + 2)),
    Bound("pulls", lambda m: len(m.gossip._asked), lambda m, _: HEARD_LIMIT + (TERMS_AHEAD + 2) * (_a_round(m) + 2)),
    Bound("sources of a pull", lambda m: max((len(asked.sources) for asked in m.gossip._asked.values()), default=0),
          lambda m, _: SOURCES),
    # A host may be known by its seat and, a round before, by its address.
    Bound("answers given in a tick", lambda m: len(m.gossip._served),
          lambda m, hosts: 2 * hosts * (KEPT_ROUNDS + 6) + 1),
    Bound("peers sent payload to", lambda m: len(m.gossip._spent), lambda m, hosts: 2 * hosts),
    # Its branch, and what values of this round cite, of which it judges one a term.
    Bound("own uncommitted items", lambda m: len(m.consensus.durable.own),
          lambda m, _: m.genesis.config.max_items_per_round * (m.consensus.term + 2)),
    Bound("petitions", lambda m: len(m.docket.petitions), lambda m, _: PETITIONS),
    Bound("proofs of lies", lambda m: len(m.docket.evidence), lambda m, _: m.roster.members),
    Bound("states kept for others", lambda m: len(m.library._states), lambda m, _: SNAPSHOTS),
    Bound("ends of epochs", lambda m: len(m.library.epochs), lambda m, _: m.roster.epoch),
    Bound("chunks asked for", lambda m: len(m.catchup.download.asked) if m.catchup.download else 0,
          lambda m, _: FETCHED_AT_ONCE),
)  # fmt: skip


class BoundedBuffers(Invariant):
    """For all honest members and every buffer of `BOUNDS`: size <= limit, and every limit is O(n) or constant."""

    name = "bounded-buffers"

    def checked(self, scene: Scene) -> None:
        """Measure the buffers."""
        for host in self.up(scene):
            for bound in BOUNDS:
                size, limit = bound.size(host.member), bound.limit(host.member, len(scene.hosts))
                if size > limit:
                    self.violated(f"{named(host)} holds {size} {bound.what}; the bound is {limit}")
