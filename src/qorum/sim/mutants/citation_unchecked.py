"""A proposal's certificate taken on trust."""

from qorum.core.member import Member
from qorum.core.messages import Proposal
from qorum.sim.adversary import Bias
from qorum.sim.mutants.mutant import LIAR, Mutant


class Trusting(Member):
    """Does not verify what a proposal cites."""

    def _verify_citation(self, proposal: Proposal) -> None:
        pass


MUTANT = Mutant("citation-unchecked", "a cited certificate is verified: right value, earlier term, q good signatures",
                Trusting, setups=(LIAR,), bias=Bias(propose=0.9, lone=0.9, write=1, mute=0.1, crash=0))  # fmt: skip
