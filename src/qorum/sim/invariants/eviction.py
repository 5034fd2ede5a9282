"""Evidence leads to eviction."""

from __future__ import annotations

from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger


class Eviction(Invariant):
    """For all honest members that are up after the heal and all j against whom one of them holds evidence then: at the
    end j has no seat, unless no member could be spared: n <= min_peers_for_consensus."""

    name = "eviction"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._due: list[tuple[Host, bytes]] = []
        """(who holds evidence, key of the liar)."""

    def healed(self, scene: Scene) -> None:
        """Note who knows what about whom."""
        for host in self.up(scene):
            if host.member.me is not None:
                roster = host.member.roster
                self._due += [(host, roster.key(member)) for member in sorted(host.member.docket.evidence)]

    @property
    def outstanding(self) -> list[tuple[Host, bytes]]:
        """Those that are still to be evicted."""
        roster = self.ledger.roster(self.ledger.furthest + 1)
        if len(roster.active) <= roster.config.min_peers_for_consensus:
            return []
        return [(host, key) for host, key in self._due if roster.seat_of(key) is not None]

    def at_end(self, scene: Scene) -> None:
        """Nobody may be outstanding."""
        roster = self.ledger.roster(self.ledger.furthest + 1)
        for host, key in self.outstanding:
            self.violated(f"{named(host)} has evidence against member {roster.seat_of(key)}, which keeps its seat")
