"""A version moves only with a signed item."""

from __future__ import annotations

from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Scene, named


class Versions(Invariant):
    """For all honest i and honest authors j: tip_i(j) is an item that j signed under the key of its incarnation, or the
    origin of its stream."""

    name = "versions"

    def checked(self, scene: Scene) -> None:
        """Compare the tips of all streams with what their authors signed."""
        for host in self.up(scene):
            self._check(host)

    def _check(self, host: Host) -> None:
        roster = host.member.roster
        for author, tip in enumerate(host.member.streams.tips):
            if roster.seats[author].active and not self.ledger.signed(roster, tip, author):
                self.violated(f"{named(host)} holds item {tip.seq} of member {author}, which did not sign it")
