"""Votes that are not on disk when they go out."""

from qorum.core.effects import Effect, Persist, Sign
from qorum.core.member import Member
from qorum.core.messages import Kind
from qorum.sim.adversary import Bias
from qorum.sim.mutants.mutant import HONEST, LIAR, Mutant

CRASHES = Bias(crash=0.6)
VOTES = (Kind.FIRST_VOTE, Kind.SECOND_VOTE)


def _votes(effects: list[Effect]) -> bool:
    return any(isinstance(effect, Sign) and effect.kind in VOTES for effect in effects)


class Forgetful(Member):
    """Writes no record of what it votes."""

    def _done(self) -> list[Effect]:
        effects = super()._done()
        return [e for e in effects if not isinstance(e, Persist)] if _votes(effects) else effects


class Late(Member):
    """Writes the record after the vote went out."""

    _held: tuple[Effect, ...] = ()

    def _done(self) -> list[Effect]:
        effects = super()._done()
        if not _votes(effects):
            return effects
        self._held += tuple(e for e in effects if isinstance(e, Persist))
        return [e for e in effects if not isinstance(e, Persist)]

    def signed(self, request: Sign, signature: bytes) -> list[Effect]:
        """The record comes last."""
        held, self._held = self._held, ()
        return [*super().signed(request, signature), *held]


NEVER = Mutant("vote-never-saved", "a vote is on disk before it is signed; here it never is", Forgetful,
               setups=(HONEST, LIAR), bias=CRASHES)  # fmt: skip
LATE = Mutant("vote-saved-late", "a vote is on disk before it is signed; here it goes out first", Late,
              setups=(HONEST, LIAR), bias=CRASHES)  # fmt: skip
