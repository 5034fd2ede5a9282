"""Whoever asks for a seat with good reason gets it, and takes part."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect
from qorum.sim.host import NO_SEAT, Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger


class Admission(Invariant):
    """For all honest hosts that are up after the heal with a key that a quorum's operators endorsed for a seat: at the
    end the key has the seat, unless the seat was given up; and an item under it is agreed on."""

    name = "admission"
    watches = (Committed,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._waiting: list[Host] = []

    def healed(self, scene: Scene) -> None:
        """Note who stands outside."""
        self._waiting = [host for host in self.up(scene) if self._is_outside(host)]

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Whoever has an item in the agreed stream waits no more."""
        if self._waiting:
            self._waiting = [host for host in self._waiting if self._is_outside(host)]

    def _is_outside(self, host: Host) -> bool:
        """Whether it has a right to a seat and no part in what is agreed on."""
        newest = self.ledger.states[self.ledger.furthest]
        seat = newest.roster.seat_of(host.key)
        if seat is not None:
            return newest.heads[seat].seq == 0
        if host.seat == NO_SEAT:
            return True
        return newest.roster.seats[host.seat].active and host.key not in newest.roster.known_keys

    @property
    def outstanding(self) -> list[Host]:
        """Those that wait."""
        return self._waiting

    def at_end(self, scene: Scene) -> None:
        """Nobody may be outstanding."""
        for host in self._waiting:
            self.violated(f"{named(host)} has no part in what is agreed on by round {self.ledger.furthest}")
