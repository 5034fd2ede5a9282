"""First-hand accusations: a member that has visited cells itself can tell that claims contradict its own data.

Both sides must rest on nearly the same agreed table. Masks are private evidence made public: more than f
accusers exclude a member from the merge, so at least one of them is honest, and one honest mistake can be enough
for f liars to exclude an honest member. So a single contradiction convicts nobody. The test pools all cells that
both have visited, with a wide interval for each, and asks for a majority of them: chance contradicts here and
there, only a liar contradicts throughout.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints
from qorum.merge.interval import half_width, pooled_spread, slack
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

REPEATED = 8
"""Cells an accuser must have visited twice or more, to know how much its own values scatter."""
CONTRADICTIONS = 3
"""Fewest contradicted cells that convict."""


def accuse(registers: Registers, me: int, ground: Ground, rules: Rules) -> NDArray[np.bool_]:
    """Members whose claims, in the registers of round `ground.round`, contradict those of member `me`.

    Convicted is who contradicts at least `CONTRADICTIONS` of the cells visited by both, and more than half of
    them. `ground` is what that round was merged on, so a claim of age 0 was computed on the very table before
    it. Returns bool[n_members]; never `me`.
    """
    age = ground.round - 1 - registers.base
    if rules.tolerated == 0:
        return np.zeros(rules.n_members, dtype=bool)
    recent = (registers.visits > 0) & (age >= 0) & (age <= rules.base_window)
    mine = registers.take(recent & (registers.member == me))
    if (mine.visits >= 2).sum() < REPEATED:
        return np.zeros(rules.n_members, dtype=bool)
    row_of_mine = np.full(len(ground.previous), -1, dtype=np.int64)
    row_of_mine[mine.cell] = np.arange(len(mine))
    theirs = registers.take(recent & (row_of_mine[registers.cell] >= 0) & (registers.member != me))
    rows = row_of_mine[theirs.cell]
    spread = _own_spread(mine)
    reach = _reach(mine, spread, ground, rules)[rows] + _reach(theirs, spread[rows], ground, rules)
    far = np.abs(theirs.value - mine.value[rows]) > reach
    shared = np.bincount(theirs.member, minlength=rules.n_members)
    contradicted = np.bincount(theirs.member[far], minlength=rules.n_members)
    return (contradicted >= CONTRADICTIONS) & (2 * contradicted > shared)


def _own_spread(mine: Registers) -> Ints:
    """The accuser's spread of each of its cells, from its own data alone: no liar has a say in it.

    A cell leans on the root mean square over all its repeated cells while it has few visits itself.
    """
    repeated = mine.spread[mine.visits >= 2].tolist()
    typical = math.isqrt(sum(spread * spread for spread in repeated) // len(repeated))  # beyond int64
    return pooled_spread(mine.spread, mine.visits, np.full(len(mine), typical))


def _reach(claims: Registers, spread: Ints, ground: Ground, rules: Rules) -> Ints:
    """How far each claim may honestly lie from the truth, under the table before `ground.round`."""
    sampling = half_width(rules.accusation_factor, spread, np.minimum(claims.visits, rules.visit_cap))
    return sampling + slack(rules, ground.moves, ground.round - 1 - claims.base)


def excluded(masks: NDArray[np.bool_], tolerated: int) -> NDArray[np.bool_]:
    """Members accused by more than f masks, all masks counting. masks: bool[n accusers, n accused].

    Where no liar is tolerated nobody is excluded: one word against another convicts neither.
    """
    return np.asarray((masks.sum(axis=0) > tolerated) & (tolerated > 0))
