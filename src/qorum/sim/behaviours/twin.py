"""Twins: two hosts with one key, each an honest member of the half of the federation that it is shown.

After "Twins" (Bano et al., arXiv 2004.10617): what two copies of a correct member can do together covers most of what a
liar could think of.
"""

from __future__ import annotations

from collections.abc import Iterable

from qorum.sim.behaviours.behaviour import Behaviour


class Twin(Behaviour):
    """Says to, and hears from, one half of the honest hosts only; the halves change with time. Liars hear all."""

    name = "twin"

    def sends(self, to: int, frame: bytes) -> Iterable[bytes]:
        """To its own half."""
        return (frame,) if self._mine(to) else ()

    def hears(self, sender: int, frame: bytes) -> bool:
        """From its own half."""
        return self._mine(sender)

    def _mine(self, address: int) -> bool:
        cluster = self.ring.cluster
        if not cluster.hosts[address].honest:
            return True
        half = int(cluster.at[self.host.seat][0] is self.host)
        return self.ring.draw("half", address, self.ring.period()) % 2 == half
