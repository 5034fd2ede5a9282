"""`Scene`: what colluding liars know when they decide what to claim in a round, and `Claims`, what they answer.

An attack gets the worst a defender can fear: every claim that honest members are about to make, the agreed table that
these are computed on, the task itself, and the bounds that the merge will enforce.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qorum.errors import ConfigError
from qorum.lab.tasks import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Claims:
    """Columns of one row per (cell, member), sorted by both: the evidence that members state.

    Raises:
        ConfigError: the columns differ in length, or rows are not unique and sorted.
    """

    cell: Ints
    """i64[R], state * A + action."""
    member: Ints
    """i64[R]."""
    value: Floats
    """f64[R], in units of reward."""
    visits: Ints
    """i64[R], 1 or more."""
    spread: Floats
    """f64[R], standard deviation of what the value is a mean of; 0 below two visits."""

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self.columns}
        key = self.cell << 16 | self.member
        if len(lengths) > 1 or (np.diff(key) <= 0).any():
            raise ConfigError("claims must be columns of equal length, their rows unique and sorted by (cell, member)")

    @property
    def columns(self) -> tuple[Any, ...]:
        """The five columns, as above."""
        return self.cell, self.member, self.value, self.visits, self.spread

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.cell)

    @classmethod
    def empty(cls) -> Claims:
        """No claim."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, np.zeros(0), none, np.zeros(0))

    @classmethod
    def of(cls, cell: Ints, member: Ints, value: Floats, visits: Ints, spread: Floats) -> Claims:
        """Rows in any order; of several with the same cell and member the last one counts."""
        key = cell << 16 | member
        order = np.argsort(key, kind="stable")
        kept = order[np.append(np.diff(key[order]) != 0, True)[: len(order)]]
        return cls(*(column[kept] for column in (cell, member, value, visits, spread)))

    def take(self, rows: NDArray[np.bool_] | Ints) -> Claims:
        """Some of the rows, by mask or ascending positions."""
        return Claims(*(column[rows] for column in self.columns))


@dataclass(frozen=True, eq=False)
class Scene:
    """One round, as those who lie in it see it."""

    task: Task
    round: int
    """The round about to be agreed on, from 1."""
    agreed: Floats
    """f64[S, A]: the table of the round before, which honest claims of this round are computed on."""
    honest: Claims
    """What all honest members are about to state."""
    own: Claims
    """What each liar would state if it were honest."""
    liars: Ints
    """i64[F], their indices, ascending."""
    low: float
    high: float
    """What the merge clamps claims of this round to."""
    visit_cap: int
    """Most visits that one claim may carry."""
    budget: int
    """Most visits that all claims of one member may carry together."""
    rng: np.random.Generator

    @property
    def cells(self) -> int:
        """C = S * A."""
        return self.agreed.size

    @cached_property
    def known(self) -> Ints:
        """i64[...], ascending: the cells that some honest member claims."""
        return np.flatnonzero(self.reporters)

    @cached_property
    def reporters(self) -> Ints:
        """i64[C]: honest members that claim each cell."""
        return np.bincount(self.honest.cell, minlength=self.cells)

    @cached_property
    def centre(self) -> Floats:
        """f64[C]: the mean of the honest claims on each cell, weighted by visits; the agreed value where none is."""
        weight = np.bincount(self.honest.cell, self.honest.visits, self.cells)
        total = np.bincount(self.honest.cell, self.honest.visits * self.honest.value, self.cells)
        return np.where(weight > 0, total / np.maximum(weight, 1), self.agreed.ravel())

    @cached_property
    def deviation(self) -> Floats:
        """f64[C]: the standard deviation of the honest claims on each cell; 0 with fewer than two."""
        count = np.maximum(self.reporters, 1)
        mean = np.bincount(self.honest.cell, self.honest.value, self.cells) / count
        off = (self.honest.value - mean[self.honest.cell]) ** 2
        return np.asarray(np.sqrt(np.bincount(self.honest.cell, off, self.cells) / np.maximum(self.reporters - 1, 1)))

    @cached_property
    def usual_visits(self) -> Ints:
        """i64[C], 1 or more: the mean visits of an honest claim on each cell; where there is none, of all of them."""
        overall = self.honest.visits.mean() if len(self.honest) else 1.0
        total = np.bincount(self.honest.cell, self.honest.visits, self.cells)
        mean = np.where(self.reporters > 0, total / np.maximum(self.reporters, 1), overall)
        return np.maximum(np.rint(mean).astype(np.int64), 1)

    @cached_property
    def usual_spread(self) -> Floats:
        """f64[C]: the mean spread of the honest claims on each cell that have one; 0 where none has."""
        told = self.honest.visits > 1
        cell, spread = self.honest.cell[told], self.honest.spread[told]
        count = np.bincount(cell, minlength=self.cells)
        return np.asarray(np.bincount(cell, spread, self.cells) / np.maximum(count, 1))


Attack = Callable[[Scene], Claims]
"""What all liars of a round state, given what they know. May keep state from round to round."""
