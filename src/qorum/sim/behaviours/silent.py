"""Silence."""

from __future__ import annotations

from collections.abc import Iterable

from qorum.sim.behaviours.behaviour import Behaviour


class Silent(Behaviour):
    """Hears everything and says nothing, in every other period."""

    name = "silent"

    def sends(self, to: int, frame: bytes) -> Iterable[bytes]:
        """Nothing."""
        return () if self.ring.draw("silent", self.host.seat, self.ring.period()) % 2 else (frame,)
