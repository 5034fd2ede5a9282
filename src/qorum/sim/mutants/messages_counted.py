"""Messages counted instead of signers."""

from collections import Counter

from qorum.core.consensus import Consensus
from qorum.core.member import Parts
from qorum.core.messages import NIL, Votes
from qorum.core.votes import Counted, Tally
from qorum.core.wire import vote_body
from qorum.sim.adversary import Bias
from qorum.sim.mutants.mutant import SEATED, Mutant, made_of


class MessageTally(Tally):
    """Counts a vote as often as it comes."""

    def __init__(self, round: int, members: int, quorum: int) -> None:
        super().__init__(round, members, quorum)
        self._messages: Counter[tuple[int, int, tuple[bytes, int]]] = Counter()

    def news(self, votes: Votes) -> int:
        """All of it, always."""
        return votes.mask

    def add(self, votes: Votes, current: int) -> Counted:
        """Count messages."""
        self._messages[votes.term, votes.step, vote_body(votes)] += votes.mask.bit_count()
        return super().add(votes, current)._replace(turning=True)

    def certificate(self, term: int, step: int, *, nil: bool = False) -> Votes | None:
        """So many messages for one value."""
        for body, mask in self.slot(term, step).masks.items():
            if (body[0] == NIL) == nil and self._messages[term, step, body] >= self._quorum:
                return self.votes(term, step, body, mask)
        return None


class Counting(Consensus):
    """Its tally counts messages."""

    def _reset_round(self) -> None:
        super()._reset_round()
        self.tally = MessageTally(self.round, self._roster.members, self._roster.quorum.size)


MUTANT = Mutant("messages-counted", "a quorum is of distinct signers, not of messages", made_of(Parts(Counting)),
                setups=(SEATED,), bias=Bias(repeat=0.5))  # fmt: skip
