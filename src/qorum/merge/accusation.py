"""First-hand accusations: a member that has visited cells itself can tell that claims contradict its own data.

Both sides must rest on nearly the same agreed table. How sharp the test is depends on what the accuser saw. Who has
never met two outcomes of one cell takes the world to be deterministic: claims on the same cell and table must then be
equal, and a single contradiction convicts. Everybody else asks for `CONTRADICTIONS` of them, in a majority of the cells
that both have visited, with a wide interval for each: chance contradicts here and there, only a liar throughout. Or for
a single one that is glaring: half as wide again, and where both have visited often enough to know what chance does.
Who knows that outcomes vary, and has so far met equal values only, cannot tell a lie from chance and accuses nobody.

Where the claim is higher than the accuser's data allows, the accuser also stakes its own standing against it (see
`standing`). It does not for a claim that is too low: that does no harm where anybody reports more, and whoever knows of
a goal that others deny must not leave the merge over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints
from qorum.merge.interval import WIDEST, half_width, pooled_spread, slack, widest_spread
from qorum.merge.parallel import each
from qorum.merge.registers import MEMBER_BITS, Block, Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

Bools = NDArray[np.bool_]

CONTRADICTIONS = 6
"""Fewest contradicted cells that convict, where outcomes vary."""
OFTEN = 8
"""Fewest visits of both sides where a single contradiction may convict."""
UNKNOWN = 2 * WIDEST
"""Widest spread of a member that has repeated too few cells to know it."""
BATCH = 1 << 21
"""Pairs of claims compared at a time."""


def accuse(registers: Registers, accusers: Ints, steady: Bools, ground: Ground, rules: Rules) -> tuple[Bools, Bools]:
    """Whom each of `accusers` finds lying in the registers of round `ground.round`, and whom by too high a claim.

    Args:
        registers: all of them; claims are compared while their base is within the window.
        accusers: i64[k], members.
        steady: bool[k]: of these, who has repeated `evidence.REPEATED` cells and never saw an outcome vary.
        ground: what that round was merged on, so a claim of age 0 was computed on the very table before it. Who is
            excluded there need not be accused any more.

    Returns:
        bool[k, n] accused and bool[k, n] staked; nobody accuses itself, and whoever stakes against a member accuses it.
    """
    nobody = np.zeros((len(accusers), rules.n_members), dtype=bool)
    if rules.tolerated == 0:
        return nobody, nobody
    blocks = registers.blocks(len(ground.previous))
    own = _own(blocks, accusers, ground, rules)
    widest = _widest(own, rules)
    able = (widest[accusers] != UNKNOWN) & (steady | (widest[accusers] > 0))
    if not able.any():
        return nobody, nobody
    found, high, glaring, shared = _contradictions(blocks, own, accusers[able], widest, ground, rules)
    accused, staked = nobody.copy(), nobody.copy()
    throughout = (found >= CONTRADICTIONS) & (2 * found > shared)
    convicted = throughout | (glaring > 0) | (found > 0) & steady[able, None]
    accused[able], staked[able] = convicted, convicted & (high > 0)
    return accused, staked


def _own(blocks: Sequence[Block], accusers: Ints, ground: Ground, rules: Rules) -> list[Registers]:
    """Recent claims of the accusers themselves in each block."""
    among = _among(accusers, rules)

    def own(block: Block) -> Registers:
        rows = block.registers
        claims = rows.take(np.flatnonzero(among[rows.member]))
        return claims.take(_recent(claims, ground, rules))

    return list(each(own, blocks))


def _widest(own: Sequence[Registers], rules: Rules) -> Ints:
    """int64[n]: what an accuser allows for in a cell that it has hardly visited, see `widest_spread`.

    From the accuser's own data alone, so that no liar has a say in it.
    """
    columns = ([getattr(claims, name) for claims in own] for name in ("member", "visits", "spread"))
    member, visits, spread = map(np.concatenate, columns)
    return widest_spread(member, visits, spread, rules.n_members, UNKNOWN)


def _recent(registers: Registers, ground: Ground, rules: Rules) -> Bools:
    """bool[R]: claims that may be compared."""
    oldest = ground.round - 1 - rules.base_window
    return (registers.visits > 0) & (registers.base >= oldest) & (registers.base < ground.round)


def _among(members: Ints, rules: Rules) -> Bools:
    """bool[n]."""
    result = np.zeros(rules.n_members, dtype=bool)
    result[members] = True
    return result


def _contradictions(
    blocks: Sequence[Block], own: Sequence[Registers], accusers: Ints, widest: Ints, ground: Ground, rules: Rules
) -> tuple[Ints, Ints, Ints, Ints]:
    """int64[k, n] each: cells on which a member contradicts an accuser, by too high a claim, glaringly; and in common.

    Cells in common are counted for those alone that might be convicted by them.
    """
    among = _among(accusers, rules)

    def in_block(place: int) -> Ints:
        block, claims = blocks[place], own[place]
        witnesses = _Witnesses.of(claims.take(among[claims.member]), widest, ground, rules)
        return _in_dispute(block.registers, witnesses, accusers, ground.part(*block.cells), rules)

    found, high, glaring = reduce(np.add, each(in_block, range(len(blocks))))
    shared, many = np.zeros_like(found), found >= CONTRADICTIONS
    if many.any():
        who, whom = many.any(axis=1), many.any(axis=0)

        def in_common(block: Block) -> Ints:
            return _shared(block.registers, accusers[who], np.flatnonzero(whom), ground.part(*block.cells), rules)

        shared[np.ix_(who, whom)] = reduce(np.add, each(in_common, blocks))
    return found, high, glaring, shared


class _Witnesses(NamedTuple):
    """Claims of accusers, and what these allow for."""

    claims: Registers
    spread: Ints
    """int64[R], of each claim, see `pooled_spread`."""
    reach: Ints
    """int64[R], how far each claim may be off."""

    @classmethod
    def of(cls, claims: Registers, widest: Ints, ground: Ground, rules: Rules) -> _Witnesses:
        spread = pooled_spread(claims.spread, claims.visits, widest[claims.member])
        visits = np.minimum(claims.visits, rules.visit_cap)
        return cls(claims, spread, half_width(rules.accusation_factor, spread, visits) + _off(claims, ground, rules))

    def take(self, rows: Bools) -> _Witnesses:
        """Some of them."""
        return self if rows.all() else _Witnesses(self.claims.take(rows), self.spread[rows], self.reach[rows])


def _off(claims: Registers, ground: Ground, rules: Rules) -> Ints:
    """int64[R], how far each claim may be off because its table was older."""
    return slack(rules, ground.moves, ground.round - 1 - claims.base)


def _in_dispute(registers: Registers, witnesses: _Witnesses, accusers: Ints, ground: Ground, rules: Rules) -> Ints:
    """int64[3, k, n]: cells on which a member contradicts an accuser, of these by too high a claim, and glaringly."""
    row_of = np.zeros(rules.n_members, dtype=np.int64)  # where the row of each accuser begins
    row_of[accusers] = np.arange(len(accusers)) * rules.n_members
    found = np.zeros((3, len(accusers) * rules.n_members), dtype=np.int64)
    bounds = np.searchsorted(registers.key, np.arange(len(ground.previous) + 1, dtype=np.int64) << MEMBER_BITS)
    witnesses = witnesses.take(_doubting(registers, bounds, witnesses, rules))
    suspects = _suspects(registers, bounds, witnesses, ground, rules)
    off, visits = _off(suspects, ground, rules), np.minimum(suspects.visits, rules.visit_cap)
    often = witnesses.claims.visits >= OFTEN, suspects.visits >= OFTEN
    for witness, suspect in _pairs(witnesses.claims, suspects):
        reach = witnesses.reach[witness] + off[suspect]
        reach += half_width(rules.accusation_factor, witnesses.spread[witness], visits[suspect])
        above = suspects.value[suspect] - witnesses.claims.value[witness]
        far = np.flatnonzero(np.abs(above) > reach)
        witness, suspect, above, reach = witness[far], suspect[far], above[far], reach[far]
        author, other = witnesses.claims.member[witness], suspects.member[suspect]
        pair, others = row_of[author] + other, author != other
        glaring = often[0][witness] & often[1][suspect] & (2 * np.abs(above) > 3 * reach)
        for count, rows in zip(found, (others, others & (above > 0), others & glaring), strict=True):
            count += np.bincount(pair[rows], minlength=found.shape[1])
    return found.reshape(3, len(accusers), rules.n_members)


def _doubting(registers: Registers, bounds: Ints, witnesses: _Witnesses, rules: Rules) -> Bools:
    """Witnesses that some claim on their cell may contradict: by the most extreme value, and most visits.

    Args:
        bounds: int64[C + 1], the first row of each cell, and the end.
    """
    claims, cells = witnesses.claims, np.flatnonzero(np.diff(bounds))
    extremes = np.zeros((3, len(bounds) - 1), dtype=np.int64)
    for ufunc, column, result in (
        (np.maximum, registers.value, extremes[0]), (np.minimum, registers.value, extremes[1]),
        (np.maximum, registers.visits, extremes[2]),
    ):  # fmt: skip
        result[cells] = ufunc.reduceat(column, bounds[cells])
    highest, lowest, most = extremes[:, claims.cell]
    reach = witnesses.reach + half_width(rules.accusation_factor, witnesses.spread, np.minimum(most, rules.visit_cap))
    return np.asarray((highest - claims.value > reach) | (claims.value - lowest > reach))


def _suspects(registers: Registers, bounds: Ints, witnesses: _Witnesses, ground: Ground, rules: Rules) -> Registers:
    """Claims that may contradict some witness: by the widest interval, so that most need no comparing in pairs."""
    cell, value = witnesses.claims.cell, witnesses.claims.value
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    if not len(first):
        return Registers.empty()
    cells = cell[first]
    ceiling = np.minimum.reduceat(value + witnesses.reach, first)
    floor = np.maximum.reduceat(value - witnesses.reach, first)
    least = np.minimum.reduceat(witnesses.spread, first)
    rows, at = _runs(bounds[cells], bounds[cells + 1])
    stated = registers.value[rows]
    outside = np.flatnonzero((stated > ceiling[at]) | (stated < floor[at]))
    claims, at = registers.take(rows[outside]), at[outside]
    own = half_width(rules.accusation_factor, least[at], np.clip(claims.visits, 1, rules.visit_cap))
    own += _off(claims, ground, rules)
    beyond = (claims.value - own > ceiling[at]) | (claims.value + own < floor[at])
    return claims.take(beyond & _recent(claims, ground, rules) & ~ground.excluded[claims.member])


def _pairs(witnesses: Registers, suspects: Registers) -> Iterator[tuple[Ints, Ints]]:
    """Rows of witnesses and suspects of the same cell, about `BATCH` pairs at a time."""
    start, stop = (np.searchsorted(witnesses.cell, suspects.cell, side) for side in ("left", "right"))
    batches = np.cumsum(stop - start, dtype=np.int64) // BATCH
    for batch in range(int(batches[-1]) + 1 if len(batches) else 0):
        rows = np.flatnonzero(batches == batch)
        witness, suspect = _runs(start[rows], stop[rows])
        yield witness, rows[suspect]


def _runs(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """The integers start[i]..stop[i]-1 for one i after the other, and the i of each."""
    sizes = stop - start
    ends = np.cumsum(sizes)
    of = np.repeat(np.arange(len(sizes)), sizes)
    return np.arange(len(of)) + (start - ends + sizes)[of], of


def _shared(registers: Registers, who: Ints, whom: Ints, ground: Ground, rules: Rules) -> Ints:
    """int64[len(who), len(whom)]: cells that both have visited; counts below 2^24 are exact in float32."""
    recent = np.flatnonzero(_recent(registers, ground, rules))
    visited = np.zeros((rules.n_members, len(ground.previous)), dtype=np.float32)
    visited[registers.member[recent], registers.cell[recent]] = 1
    return (visited[who] @ visited[whom].T).astype(np.int64)
