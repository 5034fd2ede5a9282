"""First-hand accusations: a member that has visited a cell can tell that a claim contradicts its own data.

Both claims must rest on nearly the same agreed table. Masks are private evidence made public: more than f
accusers exclude a member from the merge, so at least one of them is honest, and one honest mistake can be
enough for f liars to exclude an honest member. Hence the wide factor, and own data of at least `MIN_VISITS`
visits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints
from qorum.merge.interval import agreed_spread, half_width, pooled_spread, slack
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

MIN_VISITS = 2


def accuse(registers: Registers, me: int, ground: Ground, rules: Rules) -> NDArray[np.bool_]:
    """Members whose claims, in the registers of round `ground.round`, contradict those of member `me`.

    `ground` is what that round was merged on, so a claim of age 0 was computed on the very table before it.
    Returns bool[n_members]; never `me`.
    """
    age = ground.round - 1 - registers.base
    recent = (registers.visits > 0) & (age >= 0) & (age <= rules.base_window)
    claims = registers.take(recent)
    mine = claims.take((claims.member == me) & (claims.visits >= MIN_VISITS))
    caught = np.zeros(rules.n_members, dtype=bool)
    if not len(mine):
        return caught
    at = np.minimum(np.searchsorted(mine.cell, claims.cell), len(mine) - 1)
    rivals = (mine.cell[at] == claims.cell) & (claims.member != me)
    theirs, own = claims.take(rivals), mine.take(at[rivals])
    far = np.abs(theirs.value - own.value) > _tolerance(claims, theirs, own, ground, rules)
    caught[theirs.member[far]] = True
    return caught


def _tolerance(claims: Registers, theirs: Registers, own: Registers, ground: Ground, rules: Rules) -> Ints:
    """Largest honest distance between two claims about the same cell."""
    low, high = ground.bounds(rules)
    agreed = agreed_spread(claims, len(ground.previous), high - low)[own.cell]
    own_spread = pooled_spread(own.spread, own.visits, agreed)
    visits = np.minimum(theirs.visits, rules.visit_cap)
    width = half_width(rules.accusation_factor, own_spread, own.visits)
    width += half_width(rules.accusation_factor, agreed, visits)
    for claim in (own, theirs):
        width += slack(rules, ground.moves, ground.round - 1 - claim.base)
    return width


def excluded(masks: NDArray[np.bool_], tolerated: int) -> NDArray[np.bool_]:
    """Members accused by more than f masks, all masks counting. masks: bool[n accusers, n accused]."""
    return np.asarray(masks.sum(axis=0) > tolerated)
