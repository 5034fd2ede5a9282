"""The membership changes seldom, never too far, and never against the honest."""

from __future__ import annotations

from collections.abc import Iterator

from qorum.core.effects import Committed, Effect
from qorum.core.messages import Change, Evict, Join
from qorum.core.roster import CHANGE_ROUNDS, CHANGE_SHARE, Roster
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant
from qorum.sim.invariants.ledger import Ledger, value_of


class Membership(Invariant):
    """For all rounds k whose value changes the membership: in rounds k-9 .. k at most max(1, n(k)//10) do; n(k+1) >=
    min_peers_for_consensus; a seat that is given up stays so, and no key has two seats; who is evicted is a liar."""

    name = "membership"
    watches = (Committed,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.changes: dict[int, Change] = {}
        """Round -> what it changed."""
        self._seen: set[int] = set()

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check a change, each round once."""
        assert isinstance(effect, Committed)
        round, petition = effect.state.round, value_of(effect.commit).change
        if round in self._seen:
            return
        self._seen.add(round)
        if petition is not None:
            self.changes[round] = petition.change
            for fault in self._faults(round, petition.change, self.ledger.roster(round), effect.state.roster):
                self.violated(f"round {round} changes the membership by {petition.change}: {fault}")

    def _faults(self, round: int, change: Change, before: Roster, after: Roster) -> Iterator[str]:
        recent = sum(round - CHANGE_ROUNDS < changed <= round for changed in self.changes)
        if recent > max(1, len(before.active) // CHANGE_SHARE):
            yield f"{recent} changes of {len(before.active)} members in {CHANGE_ROUNDS} rounds"
        if len(after.active) < min(len(before.active), before.config.min_peers_for_consensus):
            yield f"{len(after.active)} members are left"
        if any(seat.active and not old.active for old, seat in zip(before.seats, after.seats, strict=False)):
            yield "a seat that was given up is taken again"
        keys = [key for seat in after.seats for key in seat.keys]
        if len(keys) != len(set(keys)):
            yield "a key has two seats"
        if len(after.seats) != len(before.seats) + isinstance(change, Join):
            yield f"{len(before.seats)} seats become {len(after.seats)}"
        if isinstance(change, Evict) and before.key(change.member) not in self.ledger.liars:
            yield f"member {change.member} is honest"
