"""Equivocation: two stories, one for each half of the federation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from qorum.core.messages import NIL, NO_TERM, Message, Proposal, Votes
from qorum.core.votes import SECOND
from qorum.sim.behaviours.behaviour import Behaviour
from qorum.sim.behaviours.forging import another_value


class Equivocate(Behaviour):
    """As leader it proposes two values; it votes for either, or for nil, whatever its peer is to believe.

    All liars tell a peer the same story. To side 0 they vote as their members do, to side 1 for something else.
    """

    name = "equivocate"

    def says(self, to: int, message: Message) -> Iterable[Message]:
        """Change what is signed with a liar's own key."""
        if isinstance(message, Proposal):
            leads = self.host.member.consensus.leader(message.term) == self.host.seat
            return (self._proposal(to, message) if leads else message,)
        if isinstance(message, Votes) and message.mask == 1 << self.host.seat:
            return (self._vote(to, message),)
        return (message,)

    def _proposal(self, to: int, proposal: Proposal) -> Proposal:
        stories = self.ring.proposals.setdefault((proposal.round, proposal.term), {0: proposal})
        if 1 not in stories:
            value = another_value(self.host.member) or proposal.value
            sketch = self.host.member.sketch(value)
            stories[1] = self.ring.propose(
                self.host.seat, Proposal(proposal.round, proposal.term, value, sketch, None, bytes(64))
            )
            self.ring.note(proposal.round, hashlib.sha256(value).digest())
        return stories[self.ring.side(to, proposal.round, proposal.term)]

    def _vote(self, to: int, votes: Votes) -> Votes:
        if self.ring.side(to, votes.round, votes.term) == 0:
            return votes
        value = self._other(votes)
        cited = votes.cited if votes.step == SECOND and value == NIL else NO_TERM
        return self.ring.vote(self.host.seat, votes.step, votes.round, votes.term, value, cited)

    def _other(self, votes: Votes) -> bytes:
        """What side 1 is told: the second proposal of a lying leader, else another value, else nil."""
        stories = self.ring.proposals.get((votes.round, votes.term), {})
        if 1 in stories:
            return hashlib.sha256(stories[1].value).digest()
        known: list[bytes] = [NIL, *self.ring.values.get(votes.round, ())]
        others = [value for value in known if value != votes.value] or [NIL]
        return others[self.ring.draw("other", votes.round, votes.term) % len(others)]
