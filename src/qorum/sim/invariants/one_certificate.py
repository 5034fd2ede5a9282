"""At most one first certificate a term: what the two votes are for."""

from __future__ import annotations

from qorum.core.effects import Effect, Persist
from qorum.core.messages import NIL
from qorum.core.votes import FIRST
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger, durable_of

TERMS_BACK = 2
"""Terms before the current one whose votes are looked at between events."""


class OneCertificate(Invariant):
    """For all (k, t): first certificates held by honest members, as lock, best or in a tally, are for one value."""

    name = "one-certificate"
    watches = (Persist,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._known: dict[tuple[int, int], bytes] = {}
        """(round, term) -> the value certified there."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Take down the lock and the best certificate of a record."""
        assert isinstance(effect, Persist)
        record = durable_of(effect.record)
        if record.lock is not None:
            self._certified(host, record.round, record.lock.term, record.lock.value)
        if record.best is not None:
            self._certified(host, record.best.round, record.best.term, record.best.value)

    def checked(self, scene: Scene) -> None:
        """Look into the tallies."""
        for host in self.up(scene):
            consensus = host.member.consensus
            quorum = self.ledger.roster(consensus.round).quorum.size
            for term in range(max(0, consensus.term - TERMS_BACK), consensus.term + 1):
                for (value, _), mask in consensus.tally.slot(term, FIRST).masks.items():
                    if value != NIL and mask.bit_count() >= quorum:
                        self._certified(host, consensus.round, term, value)

    def _certified(self, host: Host, round: int, term: int, value: bytes) -> None:
        first = self._known.setdefault((round, term), value)
        if first != value:
            self.violated(f"two values are certified in {round}.{term}; {named(host)} holds the second")
