"""First votes without a look at the lock."""

from qorum.core.consensus import Consensus
from qorum.core.member import Parts
from qorum.core.messages import Votes
from qorum.sim.mutants.mutant import FORKING, LIAR, Mutant, made_of


class Unbound(Consensus):
    """Votes for whatever is valid."""

    def _lock_allows(self, value: bytes, cited: Votes | None) -> bool:
        return True


MUTANT = Mutant("no-lock-check", "a locked member votes for another value only if it is shown a newer certificate",
                made_of(Parts(Unbound)), setups=(LIAR,), bias=FORKING)  # fmt: skip
