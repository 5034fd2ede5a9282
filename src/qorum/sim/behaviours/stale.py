"""Stale replay: old frames of anybody, again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from qorum.sim.behaviours.behaviour import Behaviour
from qorum.sim.host import Host

if TYPE_CHECKING:
    from qorum.sim.behaviours.ring import Ring

REMEMBERED = 200


class Stale(Behaviour):
    """Sends, between its own frames, what it has heard or said long ago."""

    name = "stale"

    def __init__(self, host: Host, ring: Ring) -> None:
        super().__init__(host, ring)
        self._old: list[bytes] = []

    def hears(self, sender: int, frame: bytes) -> bool:
        """Remember."""
        if len(self._old) < REMEMBERED:
            self._old.append(frame)
        elif self.random.random() < 0.1:
            self._old[self.random.randrange(REMEMBERED)] = frame
        return True

    def sends(self, to: int, frame: bytes) -> Iterable[bytes]:
        """Now and then something old too."""
        if self._old and self.random.random() < 0.3:
            return (self.random.choice(self._old), frame)
        return (frame,)
