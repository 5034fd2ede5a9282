"""Terms skipped on the word of f members, who may all lie."""

from qorum.core.consensus import Consensus
from qorum.core.member import Parts
from qorum.sim.adversary import Bias
from qorum.sim.mutants.mutant import LIAR, Mutant, made_of
from qorum.sim.script import Setup


class Gullible(Consensus):
    """Follows f members where f + 1 are needed."""

    def _skip(self) -> bool:
        furthest = self.tally.terms_above(max(1, self._roster.quorum.tolerated))
        if furthest <= self.term:
            return False
        self._enter(furthest)
        return True


MUTANT = Mutant("skip-at-f", "a term is skipped to when f + 1 members are in it, one of them honest",
                made_of(Parts(Gullible)), setups=(LIAR, Setup(7, liars=(2, 4))), bias=Bias(claim=0.4))  # fmt: skip
