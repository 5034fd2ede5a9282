"""What a host has committed stays committed."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect
from qorum.sim.host import Disk, Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger


class Durability(Invariant):
    """For all honest hosts and as long as a store of theirs lasts: the rounds it commits rise strictly over all lives,
    and the state is never of an earlier round than the last of them."""

    name = "durability"
    watches = (Committed,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._committed: dict[int, tuple[Disk, int]] = {}
        """Address -> the store, and the newest round in it."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Compare with the commit before."""
        assert isinstance(effect, Committed)
        round, before = effect.state.round, self._last(host)
        if round <= before:
            self.violated(f"{named(host)} commits round {round} after round {before}")
        self._committed[host.address] = host.disk, max(round, before)

    def _last(self, host: Host) -> int:
        disk, round = self._committed.get(host.address, (host.disk, 0))
        return round if disk is host.disk else 0

    def checked(self, scene: Scene) -> None:
        """Compare the state with the last commit."""
        for host in self.up(scene):
            before = self._last(host)
            if host.member.state.round < before:
                self.violated(f"{named(host)} is back at round {host.member.state.round}; it had committed {before}")
