"""Withhold, then reveal: what is shown late, and to few, splits what members know."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from qorum.core.messages import Items, Message, Proposal, Votes
from qorum.sim.behaviours.behaviour import Behaviour, frame_of

LONGEST = 3.0
"""Seconds."""


class Withhold(Behaviour):
    """Holds some votes, proposals and items back, and reveals each to each peer at a moment of its own."""

    name = "withhold"

    def says(self, to: int, message: Message) -> Iterable[Message]:
        """Later."""
        if not isinstance(message, Votes | Proposal | Items) or self.random.random() < 0.4:
            return (message,)
        if self.random.random() < 0.8:  # the rest never
            reveal = partial(self.ring.send, self.host, to, frame_of([message]))
            self.ring.cluster.timeline.after(self.random.uniform(0, LONGEST), reveal)
        return ()
