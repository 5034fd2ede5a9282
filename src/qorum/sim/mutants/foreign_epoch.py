"""Votes of another epoch counted in this one."""

from dataclasses import replace

from qorum.core.member import Member
from qorum.core.messages import Votes
from qorum.core.roster import Roster
from qorum.errors import ProtocolError
from qorum.sim.adversary import Bias
from qorum.sim.lies import FOREIGN_EPOCH
from qorum.sim.mutants.mutant import LIAR, SEVEN, Mutant


class Timeless(Member):
    """Takes a signature of any epoch."""

    def _verify_votes(self, votes: Votes, voters: int, roster: Roster) -> None:
        try:
            super()._verify_votes(votes, voters, roster)
        except ProtocolError:
            super()._verify_votes(votes, voters, replace(roster, epoch=FOREIGN_EPOCH))


MUTANT = Mutant("foreign-epoch", "a signature counts in the epoch it names and in no other", Timeless,
                setups=(LIAR, SEVEN), bias=Bias(certify=0.6))  # fmt: skip
