"""A lock that a vote for nil undoes."""

from qorum.core.consensus import Consensus
from qorum.core.member import Parts
from qorum.sim.mutants.mutant import LIAR, LOCKING, Mutant, made_of


class Fickle(Consensus):
    """Takes a term without a decision for proof that nothing was decided."""

    def _vote_second_nil(self) -> None:
        self.durable.lock = None
        super()._vote_second_nil()


MUTANT = Mutant("lock-dropped-on-nil", "a lock lasts until the round is over or a newer certificate replaces it",
                made_of(Parts(Fickle)), setups=(LIAR,), bias=LOCKING)  # fmt: skip
