"""`hunt`: seed after seed, until the adversary catches a mutant."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from qorum.core.member import Member
from qorum.sim.adversary import draw_script
from qorum.sim.invariants.invariant import Invariant
from qorum.sim.mutants import MUTANTS
from qorum.sim.mutants.mutant import Mutant
from qorum.sim.play import STAGED, Outcome, play
from qorum.sim.script import Script


@dataclass(frozen=True)
class Caught:
    """A mutant that was found out."""

    name: str
    seed: int
    """Whose script did it."""
    runs: int
    """Scripts played until then."""
    seconds: float
    """Of real time."""
    script: Script
    outcome: Outcome


def hunt(
    name: str, seconds: float, first_seed: int = 0, invariants: Sequence[type[Invariant]] = STAGED
) -> Caught | None:
    """Play scripts against a mutant for so many seconds of real time; None if it is not caught."""
    mutant, start = MUTANTS[name], time.monotonic()
    for seed in count(first_seed):
        script = script_for(mutant, seed)
        outcome = play_mutant(mutant, script, invariants)
        spent = time.monotonic() - start
        if outcome.violations:
            return Caught(name, seed, seed - first_seed + 1, spent, script, outcome)
        if spent > seconds:
            break
    return None


def script_for(mutant: Mutant, seed: int) -> Script:
    """The script of a seed, on one of the setups on which the mutant is found."""
    return draw_script(mutant.setups[seed % len(mutant.setups)], seed, mutant.bias)


def play_mutant(mutant: Mutant, script: Script, invariants: Sequence[type[Invariant]] = STAGED) -> Outcome:
    """Play a script with every host a mutant."""
    return play(script, stage=mutant.stage, member=mutant.member, invariants=invariants)


def play_unmutated(mutant: Mutant, seed: int) -> Outcome:
    """The same seed on the core as it is, which must stand it."""
    return play(script_for(mutant, seed), member=Member)
