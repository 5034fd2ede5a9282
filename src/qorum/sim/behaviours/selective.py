"""Selective answers."""

from __future__ import annotations

from collections.abc import Iterable

from qorum.sim.behaviours.behaviour import Behaviour


class Selective(Behaviour):
    """Speaks with some members only; all liars with the same ones, and with others in the next period."""

    name = "selective"

    def sends(self, to: int, frame: bytes) -> Iterable[bytes]:
        """Nothing to those left out."""
        return (frame,) if self.ring.draw("favourite", to, self.ring.period()) % 2 else ()
