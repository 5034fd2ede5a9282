"""`Registers`: the newest evidence of every member for every cell, as columns.

A register has a single writer and the last write by version wins, so the set of registers is a CRDT: `join`
is idempotent, commutative and associative. Visits 0 erases a register; its row stays, so that an older write
that arrives later cannot bring it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints

MEMBER_BITS = 16
CELL_BITS = 46  # so that (member + 1) << CELL_BITS fits int64
BLOCK = 1 << 18
"""Rows worked on at a time: few enough for a cache, and enough that threads do not wait for each other."""
COLUMNS = ("key", "value", "visits", "spread", "base", "version")


@dataclass(frozen=True, slots=True, eq=False)
class Writes:
    """What one contribution does to its author's registers, in fixed point."""

    member: int
    version: int
    """incarnation << 32 | seq of the contribution."""
    base: int
    """Round of the agreed table the values were computed on."""
    cell: Ints
    """int64[m], ids of cells, ascending and unique."""
    value: Ints
    visits: Ints
    spread: Ints
    affirmed: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of cell ids whose unchanged registers the author still stands by at `base`."""


class Block(NamedTuple):
    """A run of whole cells, and of their rows."""

    cells: tuple[int, int]
    """First cell, and the one after the last."""
    rows: tuple[int, int]
    whole: Registers

    @property
    def registers(self) -> Registers:
        """These rows, with cells renumbered from 0."""
        return self.whole.part(*self.rows, first_cell=self.cells[0])


@dataclass(frozen=True, eq=False)
class Registers:
    """Columns of one row per (cell, member), sorted by key; immutable."""

    key: Ints
    """int64[R]: cell << 16 | member, ascending and unique."""
    value: Ints
    visits: Ints
    spread: Ints
    """Standard deviation of what `value` is a mean of; 0 below two visits."""
    base: Ints
    """Newest round at which the author stood by this row; never falls for a given version."""
    version: Ints

    @classmethod
    def empty(cls) -> Registers:
        """No evidence from anybody."""
        return cls(*(np.zeros(0, dtype=np.int64) for _ in COLUMNS))

    @classmethod
    def of(cls, writes: Iterable[Writes]) -> Registers:
        """The registers that writes set, each author's newest per cell; affirmations are ignored."""
        result = cls.empty()
        for layer in _layers(writes):
            result = result.join(_gather(layer))
        return result

    def __eq__(self, other: object) -> bool:
        """Equal when every column is."""
        if not isinstance(other, Registers):
            return NotImplemented
        return all(map(np.array_equal, self.columns(), other.columns()))

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.key)

    @cached_property
    def cell(self) -> Ints:
        """int64[R], cell id of each row, ascending."""
        return self.key >> MEMBER_BITS

    @cached_property
    def member(self) -> Ints:
        """int64[R], author of each row."""
        return self.key & ((1 << MEMBER_BITS) - 1)

    def columns(self) -> tuple[Ints, ...]:
        """The six columns, in the order of `COLUMNS`."""
        return self.key, self.value, self.visits, self.spread, self.base, self.version

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Registers:
        """Some of the rows, by mask or ascending positions, so that the result stays sorted."""
        if rows.dtype == bool:
            if rows.all():
                return self
            rows = np.flatnonzero(rows)
        return Registers(*(column.take(rows) for column in self.columns()))

    def part(self, start: int, stop: int, first_cell: int) -> Registers:
        """Rows start..stop-1 as views, with cells renumbered so that `first_cell` is 0."""
        key, *rest = (column[start:stop] for column in self.columns())
        return Registers(key - (first_cell << MEMBER_BITS), *rest)

    def blocks(self, n_cells: int) -> list[Block]:
        """All rows of cells 0..n_cells-1 in blocks of about `BLOCK` rows."""
        starts = np.minimum(self.key[BLOCK::BLOCK] >> MEMBER_BITS, n_cells)
        cells = [0, *starts.tolist(), n_cells]
        rows = np.searchsorted(self.key, np.array(cells, dtype=np.int64) << MEMBER_BITS).tolist()
        return [Block(*ends, self) for ends in zip(pairwise(cells), pairwise(rows), strict=True)]

    def groups(self) -> tuple[Ints, Ints]:
        """(first row, number of rows) of each cell that has any: int64[G] each."""
        starts = np.ones(len(self), dtype=bool)
        starts[1:] = self.cell[1:] != self.cell[:-1]
        first = np.flatnonzero(starts)
        return first, np.diff(first, append=len(self))

    def join(self, other: Registers) -> Registers:
        """Both sets together; of a register in both the newer write wins, with that write's newest base."""
        if not len(other):
            return self
        at = np.searchsorted(self.key, other.key)
        known = np.zeros(len(other), dtype=bool)
        inside = at < len(self)
        known[inside] = self.key[at[inside]] == other.key[inside]
        merged = self._replace(at[known], other.take(known)) if known.any() else self
        return merged._insert(at[~known], other.take(~known))

    def absorb(self, writes: Sequence[Writes]) -> Registers:
        """The registers after contributions, each author's in stream order, affirmations included."""
        result = self
        for layer in _layers(writes):
            result = result.join(_gather(layer))._affirm(layer)
        return result

    def _replace(self, rows: Ints, newer: Registers) -> Registers:
        mine = self.take(rows)
        wins = _later(newer, mine)
        same = newer.version == mine.version
        columns = [np.where(wins, new, old) for new, old in zip(newer.columns(), mine.columns(), strict=True)]
        columns[4] = np.where(same, np.maximum(newer.base, mine.base), columns[4])
        result = [column.copy() for column in self.columns()]
        for column, values in zip(result, columns, strict=True):
            column[rows] = values
        return Registers(*result)

    def _insert(self, at: Ints, rows: Registers) -> Registers:
        if not len(rows):
            return self
        new = at + np.arange(len(rows))
        old = np.delete(np.arange(len(self) + len(rows)), new)
        columns = [np.empty(len(self) + len(rows), dtype=np.int64) for _ in COLUMNS]
        for column, mine, theirs in zip(columns, self.columns(), rows.columns(), strict=True):
            column[old], column[new] = mine, theirs
        return Registers(*columns)

    def _affirm(self, layer: Sequence[Writes]) -> Registers:
        """Raise the base of unchanged rows inside the affirmed ranges of their authors."""
        ranges = [(w.member, max(0, a), min(b, 1 << CELL_BITS)) for w in layer for a, b in w.affirmed]
        ranges = [(member, low, high) for member, low, high in ranges if low < high]
        if not ranges:
            return self
        author, low, high = np.array(ranges, dtype=np.int64).T
        place = (self.member << CELL_BITS) | self.cell
        opened = np.searchsorted(np.sort((author << CELL_BITS) + low), place, "right")
        closed = np.searchsorted(np.sort((author << CELL_BITS) + high), place, "right")
        base, version = np.zeros((2, 1 << MEMBER_BITS), dtype=np.int64)
        for writes in layer:
            base[writes.member], version[writes.member] = writes.base, writes.version
        # A row written later than the affirmation has its own base already.
        stands = (opened > closed) & (self.version <= version[self.member])
        return replace(self, base=np.where(stands, np.maximum(self.base, base[self.member]), self.base))


def _layers(writes: Iterable[Writes]) -> list[list[Writes]]:
    """Writes grouped so that each layer holds at most one contribution of each author, in version order."""
    turns: dict[int, int] = {}
    layers: list[list[Writes]] = []
    for one in sorted(writes, key=lambda w: (w.version, w.member)):
        turn = turns.get(one.member, 0)
        turns[one.member] = turn + 1
        if turn == len(layers):
            layers.append([])
        layers[turn].append(one)
    return layers


def _gather(layer: Sequence[Writes]) -> Registers:
    """One layer's writes as sorted registers."""
    sizes = [len(writes.cell) for writes in layer]

    def spread_out(field: str) -> Ints:
        return np.repeat(np.array([getattr(writes, field) for writes in layer], dtype=np.int64), sizes)

    def concat(field: str) -> Ints:
        return np.concatenate([getattr(writes, field) for writes in layer] or [np.zeros(0, np.int64)])

    key = (concat("cell") << MEMBER_BITS) | spread_out("member")
    order = np.argsort(key, kind="stable")
    written = (concat("value"), concat("visits"), concat("spread"))
    columns = (key, *written, spread_out("base"), spread_out("version"))
    return Registers(*(column[order] for column in columns))


def _later(new: Registers, old: Registers) -> NDArray[np.bool_]:
    """Whether each new row wins. Versions decide; the rest makes the order total, whatever liars sign."""
    wins = np.zeros(len(new), dtype=bool)
    tied = np.ones(len(new), dtype=bool)
    for field in ("version", "value", "visits", "spread"):
        a, b = getattr(new, field), getattr(old, field)
        wins |= tied & (a > b)
        tied &= a == b
    return wins
