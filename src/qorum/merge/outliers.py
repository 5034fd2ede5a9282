"""The agreed outlier score: members whose claims lean to one side of everybody else's, throughout.

Lies that stay inside the noise of every single cell cannot be told from bad luck there; over many cells they can.
Honest claims of different cells err independently, so the deviations of honest members are spread evenly over all
directions of the space of cells. Liars that pull a table somewhere pull along one direction, and together: it carries
far more of the variance than chance would give it, and their projections on it stand apart. In robust statistics that
is filtering: Diakonikolas et al., "Robust estimators in high dimensions without the computational intractability",
FOCS 2016.

Everything is integers: a matrix product in float64 of integers whose sums stay below 2^53 is exact in any order.
Standard scores, and what is made of them, are in units of 1/16.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints, divide, isqrt
from qorum.merge.interval import root_of, slack
from qorum.merge.registers import MEMBER_BITS, Registers
from qorum.merge.rule import MISTAKES, Ground, eligible
from qorum.merge.rules import Rules
from qorum.merge.selection import PAD, select

Bools = NDArray[np.bool_]

UNIT = 16
WINDOW = 256
"""Cells that are looked at in one round. Where there are more they take turns: lies that lean lean everywhere."""
CELLS = 16
"""A member is scored that reports as many cells or more, of those that can be scored at all."""
FEWEST = 8
"""Reporters of a cell that can be scored, where no liar is left."""
LIMIT = 4 * UNIT
"""No single cell counts for more, whatever is claimed."""
PASSES = 4
"""Once the worst are gone the rest is measured against a better centre."""
STEPS = 12
"""Of the power iteration; the direction need not be exact, only common to all who compute it."""
MANTISSA = 15
"""Bits of a component between two steps."""
APART = 6 * UNIT
"""Least distance from the honest half along the direction that convicts."""
LENGTH = 12 * UNIT
"""Least excess of the sum of squares that convicts, in its standard deviations."""
COLLUSION = 4
"""Times the variance that chance would give the strongest direction, at which chance is ruled out."""


class Scores(NamedTuple):
    """Standard scores of the claims on those cells that can be scored."""

    matrix: NDArray[np.float64]
    """f64[n, D], integers within +-LIMIT, each column less its mean; 0 where a member has no claim."""
    reported: Ints
    """int64[n]: scored cells that each member reports."""
    scored: Bools
    """bool[n]: members with `CELLS` or more."""


def outliers(registers: Registers, ground: Ground, rules: Rules) -> Bools:
    """bool[n]: members to exclude beside those that `ground` excludes already; as exact as the merge itself.

    At most f of them in one round, and the few that may be mistakes: more cannot be liars, so what stands out then is
    something else. Whom all liars repeat is like them, and must not shield them; nor must those who are out already.
    """
    found = np.zeros(rules.n_members, dtype=bool)
    if rules.tolerated == 0:
        return found
    registers, ground = _in_turn(registers, ground)
    claims = eligible(registers, ground, rules)
    for _ in range(PASSES):
        rest = replace(ground, excluded=ground.excluded | found)
        scores = _scores(claims.take(~found[claims.member]), rest, rules)
        if scores is None:
            break
        spare = rules.n_members // MISTAKES
        further = _lean(scores, rest.remaining(rules) + spare) | _long(scores)
        if not further.any() or (found | further).sum() > rules.tolerated + spare:
            break
        found |= further
    return found


def _in_turn(registers: Registers, ground: Ground) -> tuple[Registers, Ground]:
    """The cells whose turn it is in this round, renumbered from 0."""
    cells = len(ground.previous)
    turns = -(-cells // WINDOW)
    if turns <= 1:
        return registers, ground
    turn = ground.round % turns
    first, last = turn * cells // turns, (turn + 1) * cells // turns
    start, stop = np.searchsorted(registers.key, np.array([first, last], dtype=np.int64) << MEMBER_BITS).tolist()
    return registers.part(start, stop, first_cell=first), ground.part(first, last)


def _scores(claims: Registers, ground: Ground, rules: Rules) -> Scores | None:
    """None where so few can be scored that liars might be half of them."""
    remaining, n_cells = ground.remaining(rules), len(ground.previous)
    fresh = claims.base == ground.round - 1  # claims on one table: only these say what is usual
    crowded = np.bincount(claims.cell[fresh], minlength=n_cells) > max(2 * remaining, FEWEST)
    if crowded.sum() < CELLS:
        return None
    rows = crowded[claims.cell]
    claims, column = claims.take(rows), (np.cumsum(crowded) - 1)[claims.cell[rows]]
    reported = np.bincount(claims.member, minlength=rules.n_members).astype(np.int64)
    scored = reported >= CELLS
    if scored.sum() <= 2 * remaining + rules.n_members // 8:
        return None
    score = _standard(claims, column, ground, rules)
    matrix = np.zeros((rules.n_members, int(crowded.sum())))
    matrix[claims.member, column] = score - _mean(score, column, scored[claims.member])[column]
    return Scores(matrix, reported, scored)


def _mean(score: Ints, column: Ints, counts: Bools) -> Ints:
    """int64[D]: of each column, of those scores that count; float sums of small integers are exact."""
    columns, rows = int(column[-1]) + 1, np.flatnonzero(counts)
    total = np.bincount(column[rows], score[rows], columns).astype(np.int64)
    return divide(total, np.maximum(np.bincount(column[rows], minlength=columns), 1))


def _standard(claims: Registers, column: Ints, ground: Ground, rules: Rules) -> Ints:
    """int64[R]: how far each claim is from the median of its cell, in standard errors of its visits.

    What a claim may be off because its table was older, or because its author did not write again, is nothing.
    """
    age = ground.round - 1 - claims.base
    fresh, columns = age == 0, int(column[-1]) + 1
    sizes = np.bincount(column[fresh], minlength=columns)
    off = claims.value - select(claims.value[fresh], sizes, sizes // 2)[column]
    allowed = slack(rules, ground.moves, age) + rules.rewrite_threshold
    error = np.sign(off) * np.maximum(np.abs(off) - allowed, 0) * root_of(claims.visits) >> 10  # below 2^57
    # Two thirds of normal errors are within .967 deviations. A third of liars that state the median cannot make that
    # much smaller than it is, which would make honest errors look large.
    scatter = select(np.abs(error[fresh]), sizes, 2 * sizes // 3) * 1059 >> 10
    repeated = fresh & (claims.visits >= 2)
    stated = np.bincount(column[repeated], minlength=columns)
    spread = select(claims.spread[repeated], stated, 2 * stated // 3)
    scale = np.maximum(scatter, np.where(spread == PAD, 0, spread))[column]
    # A quotient of float64 is rounded alike on every machine; there is no sum of any.
    return np.asarray(np.rint(error * UNIT / np.maximum(scale, 1)).clip(-LIMIT, LIMIT).astype(np.int64))


def _lean(scores: Scores, others: int) -> Bools:
    """Who stands apart along a direction that chance would not have made so strong.

    others: how many of those who are scored may not be as honest members are.
    """
    projection, who = _projection(scores), scores.scored
    if not _collusive(scores, projection):
        return np.zeros_like(who)
    shown = np.sort(projection[who])
    half = len(shown) // 2 + 1
    honest = _densest(shown, max(len(shown) - others, half))  # liars that say the same are denser than any half
    centre, core = int(divide(honest.sum(), len(honest))), _densest(honest, half)
    width = int(core[-1] - core[0])
    reach = max(width * 45 // 23, APART)  # 4.5 deviations: half of all are within 1.15, if a third lies
    sides = who & (projection - centre > reach), who & (centre - projection > reach)
    return max(sides, key=np.count_nonzero)


def _densest(ascending: Ints, count: int) -> Ints:
    """The run of so many that are closest together."""
    widths = ascending[count - 1 :] - ascending[: len(ascending) - count + 1]
    start = int(widths.argmin())
    return ascending[start : start + count]


def _long(scores: Scores) -> Bools:
    """Who deviates far too much in sum, in whatever direction."""
    squares = (scores.matrix**2).sum(axis=1).astype(np.int64)
    excess = (squares - scores.reported * UNIT**2 << 10) // isqrt(np.maximum(2 * scores.reported, 1) << 20) // UNIT
    ascending = np.sort(excess[scores.scored])
    centre = int(ascending[len(ascending) // 2])
    off = np.sort(np.abs(ascending - centre))
    scatter = int(off[len(off) // 2]) * 1518 >> 10
    return np.asarray(scores.scored & (excess - centre > max(6 * scatter, LENGTH)))


def _projection(scores: Scores) -> Ints:
    """int64[n]: of each member on the direction in which those that are scored vary most."""
    rows = scores.matrix[scores.scored]
    axis = np.where(np.arange(rows.shape[1]) % 2, 13.0, -7.0)
    for _ in range(STEPS):
        axis = _shortened(rows.T @ _shortened(rows @ axis))
    length = isqrt(np.array((axis * axis).sum(), dtype=np.int64))
    return divide((scores.matrix @ axis).astype(np.int64), max(int(length), 1))


def _shortened(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same direction in `MANTISSA` bits, so that the next product stays exact."""
    bits = int(np.abs(vector).max(initial=0)).bit_length() - MANTISSA
    return np.floor(vector / 2.0**bits) if bits > 0 else vector


def _collusive(scores: Scores, projection: Ints) -> bool:
    """Whether the direction carries more variance than independent errors show (Marchenko and Pastur, 1967)."""
    rows, columns = int(scores.scored.sum()), scores.matrix.shape[1]
    squares = int((scores.matrix[scores.scored] ** 2).sum()) // int(scores.reported[scores.scored].sum())
    edge = (rows + columns + 2 * int(isqrt(np.array(rows * columns)))) * squares
    carried = int((projection[scores.scored] ** 2).sum())
    return bool(carried > max(COLLUSION * edge, 256 * UNIT**2))
