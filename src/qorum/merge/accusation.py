"""First-hand accusations: a member that has visited cells itself can tell that claims contradict its own data.

Both sides must rest on nearly the same agreed table. How sharp the test is depends on what the accuser saw. Who has
never met two outcomes of one cell takes the world to be deterministic: claims on the same cell and table must then be
equal, and a single contradiction convicts. Everybody else asks for `CONTRADICTIONS` of them, in a majority of the cells
that both have visited, with a wide interval for each: chance contradicts here and there, only a liar throughout.

Where the claim is higher than the accuser's data allows, the accuser also stakes its own standing against it (see
`standing`). It does not for a claim that is too low: that does no harm where anybody reports more, and whoever knows of
a goal that others deny must not leave the merge over it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints
from qorum.merge.interval import WIDEST, half_width, pooled_spread, slack, widest_spread
from qorum.merge.parallel import each
from qorum.merge.registers import Block, Registers
from qorum.merge.rule import Ground
from qorum.merge.rules import Rules

Bools = NDArray[np.bool_]

CONTRADICTIONS = 6
"""Fewest contradicted cells that convict, where outcomes vary."""
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
    widest = _widest(registers, accusers, ground, rules)
    able = widest[accusers] != UNKNOWN
    if not able.any():
        return nobody, nobody
    found, high, shared = _contradictions(registers, accusers[able], widest, ground, rules)
    accused, staked = nobody.copy(), nobody.copy()
    convicted = (found >= CONTRADICTIONS) & (2 * found > shared) | (found > 0) & steady[able, None]
    accused[able], staked[able] = convicted, convicted & (high > 0)
    return accused, staked


def _widest(registers: Registers, accusers: Ints, ground: Ground, rules: Rules) -> Ints:
    """int64[n]: what an accuser allows for in a cell that it has hardly visited, see `widest_spread`.

    From the accuser's own data alone, so that no liar has a say in it.
    """
    among = _among(accusers, rules)

    def stated(block: Block) -> tuple[Ints, Ints, Ints]:
        rows = block.registers
        own = rows.take(np.flatnonzero(among[rows.member] & _recent(rows, ground, rules)))
        return own.member, own.visits, own.spread

    columns = zip(*each(stated, registers.blocks(len(ground.previous))), strict=True)
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
    registers: Registers, accusers: Ints, widest: Ints, ground: Ground, rules: Rules
) -> tuple[Ints, Ints, Ints]:
    """int64[k, n] each: cells on which a member contradicts an accuser, by too high a claim, and cells in common."""

    def in_block(block: Block) -> Ints:
        part = ground.part(*block.cells)
        return _in_dispute(*_comparable(block.registers, accusers, widest, part, rules), accusers, part, rules)

    def shared(block: Block) -> Ints:
        return _shared(block.registers, accusers, ground.part(*block.cells), rules)

    blocks = registers.blocks(len(ground.previous))
    found, high = sum(each(in_block, blocks), np.zeros((2, len(accusers), rules.n_members), dtype=np.int64))
    few = found.max(initial=0) < CONTRADICTIONS
    return found, high, found if few else sum(each(shared, blocks), np.zeros_like(found))


def _comparable(
    registers: Registers, accusers: Ints, widest: Ints, ground: Ground, rules: Rules
) -> tuple[Registers, Ints]:
    """Recent claims on cells that accusers know, and the spread of each accuser's claims: int64[R], 0 for others'."""
    recent, witness = _recent(registers, ground, rules), _among(accusers, rules)
    known = np.zeros(len(ground.previous), dtype=bool)
    known[registers.cell[np.flatnonzero(witness[registers.member] & recent)]] = True
    claims = registers.take(recent & known[registers.cell])
    spread, theirs = np.zeros(len(claims), dtype=np.int64), np.flatnonzero(witness[claims.member])
    author = claims.member[theirs]
    spread[theirs] = pooled_spread(claims.spread[theirs], claims.visits[theirs], widest[author])
    return claims, spread


def _in_dispute(claims: Registers, spread: Ints, accusers: Ints, ground: Ground, rules: Rules) -> Ints:
    """int64[2, k, n]: cells on which a member contradicts an accuser, and those where by too high a claim."""
    row_of = np.full(rules.n_members, -1, dtype=np.int64)
    row_of[accusers] = np.arange(len(accusers))
    visits = np.minimum(claims.visits, rules.visit_cap)
    off = slack(rules, ground.moves, ground.round - 1 - claims.base)
    found = np.zeros((2, len(accusers) * rules.n_members), dtype=np.int64)
    witnesses = _doubting(claims, np.flatnonzero(row_of[claims.member] >= 0), spread, visits, off, ground, rules)
    suspects = _suspects(claims, witnesses, spread, visits, off, ground, rules)
    for witness, suspect in _pairs(claims, witnesses, suspects):
        reach = off[witness] + off[suspect]
        for side in (witness, suspect):
            reach += half_width(rules.accusation_factor, spread[witness], visits[side])
        above = claims.value[suspect] - claims.value[witness]
        far = (np.abs(above) > reach) & (claims.member[witness] != claims.member[suspect])
        pair = (row_of[claims.member[witness]] * rules.n_members + claims.member[suspect])[far]
        for count, pairs in zip(found, (pair, pair[above[far] > 0]), strict=True):
            count += np.bincount(pairs, minlength=found.shape[1])
    return found.reshape(2, len(accusers), rules.n_members)


def _doubting(
    claims: Registers, witnesses: Ints, spread: Ints, visits: Ints, off: Ints, ground: Ground, rules: Rules
) -> Ints:
    """Of these rows, those that some claim on their cell may contradict: by the most extreme value, and most visits."""
    n_cells, cell = len(ground.previous), claims.cell
    highest, lowest = np.full(n_cells, -WIDEST), np.full(n_cells, WIDEST)
    most = np.ones(n_cells, dtype=np.int64)
    first = claims.groups()[0]
    for ufunc, column, result in (
        (np.maximum, claims.value, highest), (np.minimum, claims.value, lowest), (np.maximum, visits, most)
    ):  # fmt: skip
        result[cell[first]] = ufunc.reduceat(column, first)
    cell, own = cell[witnesses], spread[witnesses]
    reach = half_width(rules.accusation_factor, own, visits[witnesses]) + off[witnesses]
    reach += half_width(rules.accusation_factor, own, most[cell]) + off.min(initial=WIDEST)
    value = claims.value[witnesses]
    return np.asarray(witnesses[(highest[cell] - value > reach) | (value - lowest[cell] > reach)])


def _suspects(
    claims: Registers, witnesses: Ints, spread: Ints, visits: Ints, off: Ints, ground: Ground, rules: Rules
) -> Ints:
    """Rows that may contradict some witness: by the widest interval, so that most rows need no comparing in pairs."""
    if not len(witnesses):
        return witnesses
    cell, n_cells = claims.cell[witnesses], len(ground.previous)
    near = half_width(rules.accusation_factor, spread[witnesses], visits[witnesses]) + off[witnesses]
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    ceiling, floor, least = np.zeros((3, n_cells), dtype=np.int64)
    ceiling[cell[first]] = np.minimum.reduceat(claims.value[witnesses] + near, first)
    floor[cell[first]] = np.maximum.reduceat(claims.value[witnesses] - near, first)
    least[cell[first]] = np.minimum.reduceat(spread[witnesses], first)
    doubted = np.zeros(n_cells, dtype=bool)
    doubted[cell] = True
    outside = (claims.value > ceiling[claims.cell]) | (claims.value < floor[claims.cell])
    rows = np.flatnonzero(outside & doubted[claims.cell] & ~ground.excluded[claims.member])
    at, value = claims.cell[rows], claims.value[rows]
    own = half_width(rules.accusation_factor, least[at], visits[rows]) + off[rows]
    return np.asarray(rows[(value - own > ceiling[at]) | (value + own < floor[at])])


def _pairs(claims: Registers, witnesses: Ints, suspects: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Rows of witnesses and suspects of the same cell, about `BATCH` pairs at a time."""
    cells = claims.cell[witnesses]
    start, stop = (np.searchsorted(cells, claims.cell[suspects], side) for side in ("left", "right"))
    many = stop - start
    batches = np.cumsum(many) // BATCH
    for batch in range(int(batches[-1]) + 1 if len(many) else 0):
        rows = np.flatnonzero((batches == batch) & (many > 0))
        if len(rows):
            ends = np.cumsum(many[rows])
            place = np.arange(ends[-1]) - np.repeat(ends - many[rows] - start[rows], many[rows])
            yield witnesses[place], np.repeat(suspects[rows], many[rows])


def _shared(registers: Registers, accusers: Ints, ground: Ground, rules: Rules) -> Ints:
    """int64[k, n]: cells that both have visited; counts below 2^24 are exact in float32."""
    recent = np.flatnonzero(_recent(registers, ground, rules))
    visited = np.zeros((rules.n_members, len(ground.previous)), dtype=np.float32)
    visited[registers.member[recent], registers.cell[recent]] = 1
    return (visited[accusers] @ visited.T).astype(np.int64)
