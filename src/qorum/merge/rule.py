"""The merge of a cell: registers -> agreed value.

Everybody is trusted until contradicted. A claim that more than f' others contradict on the same side is dropped, f'
being the liars not caught yet: one of those others is honest. Where so few report a cell that nobody can be out-voted,
nothing can be dropped that way. Of what is left, the upper compatible group is averaged by visits: a claim that is too
low hides, because nobody goes there again, while one that is too high is visited, and every visitor catches the liar.
Where all claims are compatible that is the mean of all, so rare outcomes keep their weight and nobody pays for liars
that are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import POWER_ONE, Ints, divide, power, scale
from qorum.merge.interval import WIDEST, agreed_spread, half_width, pooled_spread, slack, typical_spread
from qorum.merge.parallel import each
from qorum.merge.registers import Block, Registers
from qorum.merge.rules import Rules
from qorum.merge.selection import select

MISTAKES = 32
"""One in so many members may be out without having lied."""


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
    """bool[n], members found lying: their registers do not count."""
    since: int = 0
    """Oldest base that counts: claims computed on a table that now excluded members had a part in do not."""
    paired: NDArray[np.bool_] | None = None
    """bool[n], members in an open dispute, see `standing`: their registers do not count either; None: nobody."""
    joined: Ints | int = 0
    """int64[n], round in which each member joined."""
    extent: tuple[int, int] | None = None
    """Lowest and highest value of the whole table, where `previous` is a part of it."""

    @property
    def out(self) -> NDArray[np.bool_]:
        """bool[n], members whose registers do not count."""
        return self.excluded if self.paired is None else self.excluded | self.paired

    def remaining(self, rules: Rules) -> int:
        """f': liars that may still be among those who count. Every excluded member was one, and one of every pair.

        But for a few: an honest member in `MISTAKES` may have been taken for a liar, and must not make room for one.
        """
        pairs = 0 if self.paired is None else int(self.paired.sum()) // 2
        gone = int(self.excluded.sum()) + pairs - rules.n_members // MISTAKES
        return rules.tolerated - min(max(gone, 0), rules.tolerated)

    def bounds(self, rules: Rules) -> tuple[int, int]:
        """Lowest and highest value a claim may have."""
        low, high = self.whole()
        return rules.bounds(min(low, rules.initial_q), max(high, rules.initial_q))

    def part(self, first: int, last: int) -> Ground:
        """The same for cells first..last-1 alone, renumbered from 0."""
        return replace(self, previous=self.previous[first:last], extent=self.whole())

    def whole(self) -> tuple[int, int]:
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
    typical = cache(lambda: _typical(registers, ground, rules))  # which a table without lone cells does not need

    def merged_block(block: Block) -> Merged:
        part, rows = ground.part(*block.cells), block.registers
        claims = _claims(rows, within[slice(*block.rows)], part, rules)
        return _merge_cells(claims, typical, _orphaned(rows, part, rules), rules)

    merged = list(each(merged_block, registers.blocks(len(ground.previous))))
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


def counted(registers: Registers, ground: Ground, rules: Rules) -> tuple[Registers, NDArray[np.bool_]]:
    """The `eligible` claims, and bool[m] which of them make up the values: to explain a merge, not to make one."""
    claims = eligible(registers, ground, rules)
    if not ground.remaining(rules):
        return claims, np.ones(len(claims), dtype=bool)
    typical = cache(lambda: _typical(registers, ground, rules))
    return claims, compatible(claims, typical, _orphaned(registers, ground, rules), rules)


def compatible(claims: Registers, typical: Callable[[], Ints], ground: Ground, rules: Rules) -> NDArray[np.bool_]:
    """The upper compatible group of each cell: claims whose interval reaches the highest lower bound that stands.

    Where liars can be out-voted, intervals rest on the spread that reporters agree on, and a bound stands unless more
    than f' others end below it. Elsewhere the highest claim is measured by its own author's spread, `typical` giving
    int64[n], what each member leans on: the lower ones have no say in how far below it they may be.
    """
    first, sizes = claims.groups()
    if not len(first):
        return np.zeros(0, dtype=bool)
    crowded = np.repeat(sizes > 2 * ground.remaining(rules), sizes)
    spread = np.where(crowded, _agreed(claims, ground, rules)[claims.cell], 0)
    lone = ~crowded
    if lone.any():
        spread[lone] = pooled_spread(claims.spread[lone], claims.visits[lone], typical()[claims.member[lone]])
    off = slack(rules, ground.moves, ground.round - 1 - claims.base)
    width = half_width(rules.interval_factor, spread, claims.visits) + off
    lower, upper = claims.value - width, claims.value + width
    stands = _undisputed(lower, upper, sizes, ground.remaining(rules))
    lower[~stands] = -WIDEST
    highest = np.repeat(np.maximum.reduceat(lower, first), sizes)
    if lone.any():
        top = np.repeat(np.maximum.reduceat(np.where(lower == highest, spread, 0), first), sizes)
        upper = claims.value + half_width(rules.interval_factor, top, claims.visits) + off
    return np.asarray(stands & (upper >= highest))


def _agreed(claims: Registers, ground: Ground, rules: Rules) -> Ints:
    low, high = ground.bounds(rules)
    return agreed_spread(claims, len(ground.previous), high - low)


def _typical(registers: Registers, ground: Ground, rules: Rules) -> Ints:
    """int64[n], see `typical_spread`; the range of values for whoever knows too little."""
    low, high = ground.bounds(rules)
    recent = (registers.base >= _oldest(ground, rules)) & (registers.base < ground.round)
    return typical_spread(registers.member, registers.visits * recent, registers.spread, rules.n_members, high - low)


def _undisputed(lower: Ints, upper: Ints, sizes: Ints, remaining: int) -> NDArray[np.bool_]:
    """Claims that at most `remaining` others end below and begin above; all of them in cells with too few reporters."""
    first = np.cumsum(sizes) - sizes
    most, least = np.maximum.reduceat(lower, first), np.minimum.reduceat(upper, first)
    below = np.add.reduceat(upper < np.repeat(most, sizes), first, dtype=np.int64)
    above = np.add.reduceat(lower > np.repeat(least, sizes), first, dtype=np.int64)
    # Of most cells not even the most extreme claim falls, which is seen faster than who is where in line.
    crowded = (sizes > 2 * remaining) & (np.maximum(below, above) > remaining)
    inside = np.repeat(crowded, sizes)
    if not inside.any():
        return ~inside
    rank = np.full(int(crowded.sum()), remaining)
    ceiling = select(upper[inside], sizes[crowded], rank)
    bottom = -select(-lower[inside], sizes[crowded], rank)
    stands = ~inside
    of = np.repeat(np.arange(len(rank)), sizes[crowded])
    stands[inside] = (lower[inside] <= ceiling[of]) & (upper[inside] >= bottom[of])
    return stands


def _claims(registers: Registers, within: NDArray[np.bool_], ground: Ground, rules: Rules) -> Registers:
    keep = within & (registers.visits > 0) & ~ground.out[registers.member]
    keep &= (registers.base >= _oldest(ground, rules)) & (registers.base < ground.round)
    claims = registers.take(keep)
    value = np.clip(claims.value, *ground.bounds(rules)) if rules.evidence == "replay" else claims.value
    visits = np.minimum(claims.visits, rules.visit_cap)
    return Registers(claims.key, value, visits, claims.spread, claims.base, claims.version)


def _oldest(ground: Ground, rules: Rules) -> int:
    """The base before which no claim counts."""
    window = 0 if rules.evidence == "implied" else rules.base_window
    return max(ground.round - 1 - window, ground.since)


def _within_budget(registers: Registers, ground: Ground, rules: Rules) -> NDArray[np.bool_]:
    """Writes past their author's visit budget, in (version, cell) order, do not count."""
    within = np.ones(len(registers), dtype=bool)
    budget = np.broadcast_to(rules.visit_budget(ground.round, ground.joined), rules.n_members)
    over = _visits_by_member(registers, len(ground.previous), rules) > budget
    if over.any():
        rows = np.flatnonzero(over[registers.member])
        author = registers.member[rows].astype(np.uint16)  # a stable sort of 16 bits takes linear time
        rows = rows[np.argsort(author, kind="stable")]
        for own in np.split(rows, np.cumsum(np.bincount(author))[:-1]):
            own = own[np.argsort(registers.version[own], kind="stable")]
            spent = np.cumsum(np.minimum(registers.visits[own], rules.visit_cap))
            within[own] = spent <= budget[registers.member[own[:1]]]
    return within


def _visits_by_member(registers: Registers, n_cells: int, rules: Rules) -> NDArray[np.float64]:
    """Capped visits of each member together; float sums of counts are exact below 2^53."""

    def visits(block: Block) -> NDArray[np.float64]:
        rows = block.registers
        capped = np.minimum(rows.visits, rules.visit_cap)
        return np.asarray(np.bincount(rows.member, capped, rules.n_members), dtype=np.float64)

    return sum(each(visits, registers.blocks(n_cells)), np.zeros(rules.n_members))


def _orphaned(registers: Registers, ground: Ground, rules: Rules) -> Ground:
    """The ground without what only members that are out ever said: those cells are at initial_q again."""
    if not ground.out.any():
        return ground
    theirs = ground.out[registers.member]
    held, said = (
        np.bincount(registers.cell[rows & (registers.visits > 0)], minlength=len(ground.previous)) > 0
        for rows in (~theirs, theirs)
    )
    alone = said & ~held
    return replace(ground, previous=np.where(alone, rules.initial_q, ground.previous), extent=ground.whole())


def _merge_cells(claims: Registers, typical: Callable[[], Ints], ground: Ground, rules: Rules) -> Merged:
    """Merge eligible claims."""
    n_cells = len(ground.previous)
    reporters = np.bincount(claims.cell, minlength=n_cells).astype(np.int64)
    counted = claims
    if ground.remaining(rules):  # else whoever counts is honest, and rare outcomes are true
        counted = replace(claims, visits=claims.visits * compatible(claims, typical, ground, rules))
    total, support = _sums(counted, n_cells)
    value = ground.previous.copy()
    held = support > 0
    value[held] = divide(total[held], support[held])
    if rules.evidence == "implied":
        value = _step(value, support, ground.previous, rules)
    return Merged(value, support, reporters, (reporters > 2 * ground.remaining(rules)) & (reporters > 0))


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
