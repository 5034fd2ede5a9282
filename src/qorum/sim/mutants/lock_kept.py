"""A lock that no certificate releases."""

from qorum.core.consensus import Consensus
from qorum.core.member import Parts
from qorum.core.messages import Votes
from qorum.sim.mutants.mutant import LIAR, LOCKING, Mutant, made_of


class Stubborn(Consensus):
    """Votes for its lock and for nothing else."""

    def _lock_allows(self, value: bytes, cited: Votes | None) -> bool:
        return self.durable.lock is None or self.durable.lock.value == value


MUTANT = Mutant("lock-never-released", "a certificate as new as the lock frees a member for its value",
                made_of(Parts(Stubborn)), setups=(LIAR,), bias=LOCKING)  # fmt: skip
