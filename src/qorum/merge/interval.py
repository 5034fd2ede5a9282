"""Intervals: how far a claim about a cell may honestly lie from the truth, in fixed point."""

from __future__ import annotations

import numpy as np

from qorum.evidence import REPEATED
from qorum.merge.fixed import VALUE_LIMIT, Ints, divide, isqrt
from qorum.merge.registers import Registers
from qorum.merge.rules import FACTOR_ONE, Rules
from qorum.merge.selection import select

ROOT_ONE = 1 << 10  # unit of the square root of a visit count
FEW_VISITS = 1 << 12  # claims that count carry no more
WIDEST = 2 * VALUE_LIMIT  # distance between the lowest and the highest value
SQUARE_SHIFT = 11  # spreads are squared in units of 2^-9
PRIOR_VISITS = 4  # a member's own spread counts against the agreed one as its visits against these


_ROOTS = isqrt(np.arange(FEW_VISITS + 1, dtype=np.int64) * ROOT_ONE**2)


def root_of(visits: Ints) -> Ints:
    """Square root of visit counts in units of 2^-10, rounded down; from a table while there are few."""
    if visits.max(initial=0) > FEW_VISITS:
        return isqrt(visits * ROOT_ONE**2)
    return np.asarray(_ROOTS.take(visits))


def half_width(factor: int, spread: Ints, visits: Ints) -> Ints:
    """factor * spread / sqrt(visits), rounded up; factor in units of 1/256, visits >= 1, spread <= 2^41."""
    root = root_of(visits)
    return np.asarray(-(-factor * spread * (ROOT_ONE // FACTOR_ONE) // root), dtype=np.int64)


def slack(rules: Rules, moves: Ints, age: Ints) -> Ints:
    """How far a claim computed `age` tables ago may be off for that reason alone.

    moves[j] bounds the change of max|V| from j+1 tables ago to j tables ago, so their sum bounds the drift
    since then; gamma times that, plus the threshold below which an author does not write again, plus its
    rounding.
    """
    drift = np.zeros(len(moves) + 1, dtype=np.int64)
    drift[1:] = np.minimum(np.cumsum(moves), WIDEST)
    of_age = rules.rewrite_threshold + 1 - (-rules.gamma * drift >> 20)
    return np.asarray(of_age.take(age, mode="clip"))


def agreed_spread(registers: Registers, n_cells: int, otherwise: Ints | int) -> Ints:
    """Spread of each cell as its reporters state it: the upper median, which one of several cannot set alone.

    Only reporters with two visits or more have a say; a cell without one gets what is given for it. `registers` are the
    eligible rows; returns int64[n_cells].
    """
    result = np.empty(n_cells, dtype=np.int64)
    result[:] = otherwise
    first, sizes = registers.groups()
    if len(first):
        has_say, spread = registers.visits >= 2, np.clip(registers.spread, 0, WIDEST)
        stated = np.add.reduceat(has_say, first, dtype=np.int64)
        spread[~has_say] = spread.max()  # behind all that have a say
        told = stated > 0
        median = select(spread, sizes, stated // 2)
        result[registers.cell[first[told]]] = median[told]
    return result


def typical_spread(member: Ints, visits: Ints, spread: Ints, n_members: int, span: int) -> Ints:
    """int64[n_members]: the root mean square of each member's spread over all cells that it has visited again.

    What somebody knows of chance at all, where it knows little of it in one cell. `span` for whoever has visited fewer
    than `REPEATED` cells again. Arguments: rows of claims, int64[R].
    """
    again = visits >= 2
    member, coarse = member[again], spread[again] >> SQUARE_SHIFT
    cells = np.bincount(member, minlength=n_members)
    squares = np.zeros(n_members, dtype=np.int64)
    np.add.at(squares, member, divide(coarse * coarse, np.maximum(cells, 1)[member]))
    return np.where(cells < REPEATED, span, isqrt(squares) << SQUARE_SHIFT)


def widest_spread(member: Ints, visits: Ints, spread: Ints, n_members: int, otherwise: int) -> Ints:
    """int64[n_members]: the largest spread that each member has met in any cell; arguments as in `typical_spread`.

    What somebody must allow for in a cell that it has visited once before it says that another lies: where rewards are
    rare most cells show no chance at all, and the mean over them all is far too little for the few where it decides.
    """
    again = visits >= 2
    cells = np.bincount(member[again], minlength=n_members)
    widest = np.zeros(n_members, dtype=np.int64)
    np.maximum.at(widest, member[again], np.clip(spread[again], 0, WIDEST))
    return np.where(cells < REPEATED, otherwise, widest)


def pooled_spread(own: Ints, visits: Ints, agreed: Ints) -> Ints:
    """A member's own spread, leaning on the agreed one while it has few visits of its own; rounded up.

    sqrt((visits * own^2 + prior * agreed^2) / (visits + prior)), spreads <= 2^41 rounded up to multiples of
    2^11, so that four times a square fits int64.
    """
    a, b = (-(-np.clip(spread, 0, WIDEST) >> SQUARE_SHIFT) for spread in (own, agreed))
    weight = np.where(visits >= 2, visits, 0)
    square = a * a - PRIOR_VISITS * (a * a - b * b) // (weight + PRIOR_VISITS)
    root = isqrt(square)
    return np.asarray((root + (root * root < square)) << SQUARE_SHIFT, dtype=np.int64)
