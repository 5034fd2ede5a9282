"""Quorums that are too small: f + 1, and the textbook's 2f + 1 where n is not 3f + 1."""

from functools import cached_property

from qorum.core.genesis import Genesis
from qorum.core.member import Member
from qorum.core.quorum import Quorum
from qorum.core.roster import Roster
from qorum.sim.adversary import Bias
from qorum.sim.mutants.mutant import FIVE, LIAR, SPLITTING, TWIN, Mutant
from qorum.sim.script import Setup


class OneMore(Roster):
    """Enough that one of them is honest."""

    @cached_property
    def quorum(self) -> Quorum:
        """f + 1."""
        sizes = Quorum.of(len(self.active), self.config.byzantine_threshold)
        return sizes._replace(size=sizes.tolerated + 1)


class Textbook(Roster):
    """Right only if n = 3f + 1."""

    @cached_property
    def quorum(self) -> Quorum:
        """2f + 1: two of them may share liars alone."""
        sizes = Quorum.of(len(self.active), self.config.byzantine_threshold)
        return sizes._replace(size=2 * sizes.tolerated + 1)


def with_roster(kind: type[Roster]) -> type[Member]:
    """A member that has another idea of quorums, from the founding on."""

    class Founding(Genesis, frozen=True, dict=True):
        @cached_property
        def roster(self) -> Roster:
            return kind(self.federation, self.config, super().roster.seats)

    class WithRoster(Member):
        def __init__(self, genesis: Genesis, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
            super().__init__(Founding(genesis.public_keys, genesis.config), *args, **kwargs)

    return WithRoster


ONE_MORE = Mutant("quorum-f-plus-1", "a quorum is n - f members, here f + 1", with_roster(OneMore),
                  setups=(LIAR, TWIN), bias=Bias(quorum=2, keep=0.5))  # fmt: skip
TEXTBOOK = Mutant("quorum-2f-plus-1", "a quorum is n - f members, here 2f + 1 with n = 3f + 2", with_roster(Textbook),
                  setups=(Setup(5, twins=(2,)), FIVE), bias=SPLITTING)  # fmt: skip
