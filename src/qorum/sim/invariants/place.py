"""Where a member is never goes back."""

from __future__ import annotations

from qorum.core.effects import Effect, Persist
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger, durable_of

Place = tuple[int, int, int]


class RisingPlace(Invariant):
    """For all honest keys: (k, t, step) of its records, and (k, t) of its lives, never fall."""

    name = "rising-place"
    watches = (Persist,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._recorded: dict[bytes, Place] = {}

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Compare with the record before."""
        assert isinstance(effect, Persist)
        record = durable_of(effect.record)
        place, before = (record.round, record.term, record.step), self._recorded.get(host.key, (0, 0, 0))
        if place < before:
            self.violated(f"the record of {named(host)} falls from {_text(before)} to {_text(place)}")
        self._recorded[host.key] = max(place, before)

    def checked(self, scene: Scene) -> None:
        """A living member is where its record is, or further."""
        for host in self.up(scene):
            consensus, before = host.member.consensus, self._recorded.get(host.key, (0, 0, 0))
            if (consensus.round, consensus.term) < before[:2]:
                self.violated(f"{named(host)} is in {consensus.round}.{consensus.term}, its record in {_text(before)}")


def _text(place: Place) -> str:
    return f"{place[0]}.{place[1]} step {place[2]}"
