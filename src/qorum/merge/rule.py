"""The merge of a cell: registers -> agreed value.

Where more than 2f members report a cell, the f lowest and the f highest are dropped (an absolute number: a
fraction of the reporters is captured by whoever controls who reports) and the rest is averaged by visits: the
cell is confirmed. Where fewer report it nobody can be out-voted, and the upper compatible group is averaged:
a lie that is too low hides because nobody goes there again, a lie that is too high is visited and every
visitor catches the liar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import POWER_ONE, Ints, divide, power, scale
from qorum.merge.interval import agreed_spread, half_width, slack
from qorum.merge.ranked import ranked
from qorum.merge.registers import MEMBER_BITS, Registers
from qorum.merge.rules import Rules

VISIT_BITS = 13  # a capped visit count is at most 4096
BLOCK = 1 << 16  # rows merged at a time, so that what is computed from them stays in cache


@dataclass(frozen=True, eq=False)
class Ground:
    """What a merge stands on besides registers: the agreed table before it, and who is out."""

    round: int
    """Round of the table being merged; claims are computed on tables of earlier rounds."""
    previous: Ints
    """int64[C], values agreed before; the id of a cell is its position."""
    moves: Ints
    """int64[W], see `interval.slack`."""
    excluded: NDArray[np.bool_]
    """bool[n], members whose registers do not count."""
    since: int = 0
    """Oldest base that counts: claims computed on a table that now excluded members had a part in do not."""
    joined: Ints | int = 0
    """int64[n], round in which each member joined."""
    extent: tuple[int, int] | None = None
    """Lowest and highest value of the whole table, where `previous` is a part of it."""

    def bounds(self, rules: Rules) -> tuple[int, int]:
        """Lowest and highest value a claim may have."""
        low, high = self._extent()
        return rules.bounds(min(low, rules.initial_q), max(high, rules.initial_q))

    def part(self, first: int, last: int) -> Ground:
        """The same for cells first..last-1 alone, renumbered from 0."""
        return replace(self, previous=self.previous[first:last], extent=self._extent())

    def _extent(self) -> tuple[int, int]:
        return self.extent or (int(self.previous.min(initial=0)), int(self.previous.max(initial=0)))


@dataclass(frozen=True, eq=False)
class Merged:
    """The outcome for each cell."""

    value: Ints
    support: Ints
    """int64[C], visits behind the value."""
    reporters: Ints
    """int64[C], members that report the cell."""
    confirmed: NDArray[np.bool_]
    """Whether liars alone could not have set the value."""


def merge(registers: Registers, ground: Ground, rules: Rules) -> Merged:
    """Merge all cells. Exact integers: the same bits on every machine, whatever the order registers came in.

    Registers of cells that `ground` does not have do not count.
    """
    within = _within_budget(registers, ground, rules)
    merged = []
    for cells, rows in _blocks(registers, len(ground.previous)):
        part = ground.part(*cells)
        claims = _claims(registers.part(*rows, first_cell=cells[0]), within[slice(*rows)], part, rules)
        merged.append(_merge_cells(claims, part, rules))
    columns = [[getattr(part, field.name) for part in merged] for field in fields(Merged)]
    return Merged(*(np.concatenate(column) for column in columns))


def unreported(n_cells: int, rules: Rules) -> Merged:
    """The table before anybody reported: every cell at initial_q."""
    none = np.zeros(n_cells, dtype=np.int64)
    return Merged(none + rules.initial_q, none, none, none.astype(bool))


def eligible(registers: Registers, ground: Ground, rules: Rules) -> Registers:
    """The registers that count: visited, recent, within budget, not excluded.

    Visits are capped; `replay` values are clamped to what one Bellman backup of the agreed table allows.
    """
    return _claims(registers, _within_budget(registers, ground, rules), ground, rules)


def compatible(claims: Registers, ground: Ground, rules: Rules) -> NDArray[np.bool_]:
    """The upper compatible group of each cell: claims whose interval reaches the highest lower bound."""
    low, high = ground.bounds(rules)
    spread = agreed_spread(claims, len(ground.previous), high - low)[claims.cell]
    width = half_width(rules.interval_factor, spread, claims.visits)
    width += slack(rules, ground.moves, ground.round - 1 - claims.base)
    first, sizes = claims.groups()
    if not len(first):
        return np.zeros(0, dtype=bool)
    highest_lower = np.maximum.reduceat(claims.value - width, first)
    return np.asarray(claims.value + width >= np.repeat(highest_lower, sizes))


def _blocks(registers: Registers, n_cells: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """(first cell, end), (first row, end) of blocks of about `BLOCK` rows; no cell is cut in two."""
    starts = np.minimum(registers.key[BLOCK::BLOCK] >> MEMBER_BITS, n_cells)
    cells = [0, *starts.tolist(), n_cells]
    rows = np.searchsorted(registers.key, np.array(cells, dtype=np.int64) << MEMBER_BITS).tolist()
    return zip(pairwise(cells), pairwise(rows), strict=True)


def _claims(registers: Registers, within: NDArray[np.bool_], ground: Ground, rules: Rules) -> Registers:
    window = 0 if rules.evidence == "implied" else rules.base_window
    keep = within & (registers.visits > 0) & ~ground.excluded[registers.member]
    oldest = max(ground.round - 1 - window, ground.since)
    keep &= (registers.base >= oldest) & (registers.base < ground.round)
    claims = registers.take(keep)
    value = np.clip(claims.value, *ground.bounds(rules)) if rules.evidence == "replay" else claims.value
    visits = np.minimum(claims.visits, rules.visit_cap)
    return Registers(claims.key, value, visits, claims.spread, claims.base, claims.version)


def _within_budget(registers: Registers, ground: Ground, rules: Rules) -> NDArray[np.bool_]:
    """Writes past their author's visit budget, in (version, cell) order, do not count."""
    within = np.ones(len(registers), dtype=bool)
    budget = np.broadcast_to(rules.visit_budget(np.asarray(ground.round - ground.joined)), rules.n_members)
    over = _visits_by_member(registers, rules) > budget
    if over.any():
        rows = np.flatnonzero(over[registers.member])
        author = registers.member[rows].astype(np.uint16)  # a stable sort of 16 bits takes linear time
        rows = rows[np.argsort(author, kind="stable")]
        for own in np.split(rows, np.cumsum(np.bincount(author))[:-1]):
            own = own[np.argsort(registers.version[own], kind="stable")]
            spent = np.cumsum(np.minimum(registers.visits[own], rules.visit_cap))
            within[own] = spent <= budget[registers.member[own[:1]]]
    return within


def _visits_by_member(registers: Registers, rules: Rules) -> NDArray[np.float64]:
    """Capped visits of each member together; float sums of counts are exact below 2^53."""
    total = np.zeros(rules.n_members)
    for start in range(0, len(registers), BLOCK):
        rows = registers.part(start, start + BLOCK, first_cell=0)
        visits = np.minimum(rows.visits, rules.visit_cap)
        total += np.bincount(rows.member, weights=visits, minlength=rules.n_members)
    return total


def _merge_cells(claims: Registers, ground: Ground, rules: Rules) -> Merged:
    """Merge eligible claims."""
    n_cells = len(ground.previous)
    reporters = np.bincount(claims.cell, minlength=n_cells).astype(np.int64)
    trim = max(0, rules.tolerated - int(ground.excluded.sum()))
    confirmed = reporters > 2 * trim
    enough = confirmed[claims.cell]
    sums = _trimmed_sums(claims.take(enough), reporters * confirmed, trim)
    if not enough.all():
        lone = claims.take(~enough)
        visits = lone.visits * compatible(lone, ground, rules)
        sums += _sums(replace(lone, visits=visits), n_cells)
    total, support = sums
    value = ground.previous.copy()
    held = support > 0
    value[held] = divide(total[held], support[held])
    if rules.evidence == "implied":
        value = _step(value, support, ground.previous, rules)
    return Merged(value, support, reporters, confirmed & (reporters > 0))


def _trimmed_sums(claims: Registers, reporters: Ints, trim: int) -> Ints:
    """int64[2, C]: sum(visits * value) and sum(visits) without a cell's `trim` lowest and highest reporters.

    Value and visits are packed into one sortable integer: reporters equal in both are interchangeable, so
    ties need no break by name and the outcome does not depend on who is who.
    """
    if trim == 0:
        return _sums(claims, len(reporters))
    sums = np.zeros((2, len(reporters)), dtype=np.int64)
    for cells, rows in ranked((claims.value << VISIT_BITS) | claims.visits, reporters):
        rows = rows[:, trim:-trim]
        rows[np.arange(rows.shape[1]) >= reporters[cells, None] - 2 * trim] = 0
        visits = rows & ((1 << VISIT_BITS) - 1)
        sums[0, cells], sums[1, cells] = ((rows >> VISIT_BITS) * visits).sum(axis=1), visits.sum(axis=1)
    return sums


def _sums(claims: Registers, n_cells: int) -> Ints:
    """int64[2, C]: sum(visits * value) and sum(visits) of each cell; exact, where float sums would round."""
    sums = np.zeros((2, n_cells), dtype=np.int64)
    first = claims.groups()[0]
    if len(first):
        cells = claims.cell[first]
        sums[0, cells] = np.add.reduceat(claims.visits * claims.value, first)
        sums[1, cells] = np.add.reduceat(claims.visits, first)
    return sums


def _step(mean: Ints, visits: Ints, previous: Ints, rules: Rules) -> Ints:
    """The fleet's step for `implied` evidence: G + (1 - (1-a)^visits) * (mean - G)."""
    moved = POWER_ONE - power(rules.keep, visits)
    return previous + scale(mean - previous, divide(moved, POWER_ONE >> 20))
