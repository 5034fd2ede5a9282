"""`Mutant`: a member with one rule of the protocol taken away, to see whether an adversary finds out."""

from __future__ import annotations

from dataclasses import dataclass

from qorum.core.member import Member, Parts
from qorum.sim.adversary import Bias
from qorum.sim.script import Setup
from qorum.sim.stage import Stage

LIAR = Setup(4, liars=(3,))
TWIN = Setup(4, twins=(2,))
SEATED = Setup(4, liars=(3,), evicting=False)
FIVE = Setup(5, liars=(4,))
SEVEN = Setup(7, twins=(1,), liars=(5,))
HONEST = Setup(4)

LOCKING = Bias(terms=(2, 5), lone=0.9, lost=1, drowsy=0.03, mute=0.1, write=1, mend=0, crash=0, vote=0, propose=0)
"""Locks need terms that end without a decision. Liars keep the protocol here, and are silent while the stage heals."""

FORKING = Bias(terms=(2, 4), lone=0.5, aloof=0.5, lost=1, drowsy=0.05, mute=0, write=1, mend=0, crash=0)
"""Forks need one host that decides and is not heard of again."""

SPLITTING = Bias(quorum=3, whole=0.05, sides=0.8, keep=0.9, lone=0, mend=0, drowsy=0.03, mute=0.2, crash=0)
"""Quorums that are too small are met on either side of a split that lasts; only liars are on both."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault, and the adversary that finds it."""

    name: str
    """In kebab case."""
    rule: str
    """The rule it breaks."""
    member: type[Member] = Member
    stage: type[Stage] = Stage
    """Of a fault that is not the member's but its host's."""
    setups: tuple[Setup, ...] = (LIAR, TWIN)
    """Federations on which it is found; seeds take them in turn."""
    bias: Bias = Bias()  # noqa: RUF009 - frozen
    """What the adversary does there, and how often."""


def made_of(parts: Parts) -> type[Member]:
    """A member with another class in place of one of its parts."""
    return type("Mutated", (Member,), {"parts": parts})
