"""Rushing: votes of terms to come, so that others skip ahead."""

from __future__ import annotations

from collections.abc import Iterable

from qorum.core.messages import NIL, Message, Votes
from qorum.core.votes import FIRST, SECOND, TERMS_AHEAD
from qorum.sim.behaviours.behaviour import Behaviour

FAR = 2**31 - 1


class Rush(Behaviour):
    """With its own votes it votes nil in later terms, near and far, and for a value in the terms to come."""

    name = "rush"

    def says(self, to: int, message: Message) -> Iterable[Message]:
        """Some votes of the future too."""
        if not isinstance(message, Votes) or message.mask != 1 << self.host.seat or self.random.random() < 0.5:
            return (message,)
        term = min(FAR, message.term + self.random.choice((1, 2, TERMS_AHEAD, TERMS_AHEAD + 1, FAR)))
        value = self.random.choice([NIL, *self.ring.values.get(message.round, ())])
        step = self.random.choice((FIRST, SECOND))
        return (message, self.ring.vote(self.host.seat, step, message.round, term, value))
