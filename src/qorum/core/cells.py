"""`Cells`: the dictionary of cells a federation has agreed on. Ids are positions; cells are only ever appended.

So an id in a signed contribution means the same cell for ever, at every member that holds its base round or a later
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qorum.merge.fixed import Ints, distinct

UNKNOWN = -1


@dataclass(frozen=True)
class Cells:
    """state_hash: uint64[C], action: uint8[C], in order of id; every pair once."""

    state_hash: NDArray[np.uint64]
    action: NDArray[np.uint8]
    n_actions: int

    @classmethod
    def empty(cls, n_actions: int) -> Cells:
        """No cell yet; actions are 0 .. n_actions - 1."""
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.uint8), n_actions)

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def states(self) -> NDArray[np.uint64]:
        """uint64[S], the states of all cells, ascending."""
        return distinct(self.state_hash)

    @cached_property
    def ids(self) -> Ints:
        """int64[S, n_actions], id of each cell, UNKNOWN where there is none."""
        grid = np.full((len(self.states), self.n_actions), UNKNOWN, dtype=np.int64)
        grid[np.searchsorted(self.states, self.state_hash), self.action] = np.arange(len(self))
        return grid

    @cached_property
    def order(self) -> Ints:
        """int64[C], ids sorted by (state_hash, action)."""
        return np.asarray(self.ids[self.ids != UNKNOWN])

    def find(self, states: NDArray[np.uint64], actions: NDArray[np.uint8]) -> Ints:
        """Ids of (state, action) pairs, UNKNOWN where there is none."""
        if not len(self):
            return np.full(len(states), UNKNOWN, dtype=np.int64)
        row = np.minimum(np.searchsorted(self.states, states), len(self.states) - 1)
        return np.where(self.states[row] == states, self.ids[row, actions], UNKNOWN)

    def extend(self, states: NDArray[np.uint64], actions: NDArray[np.uint8]) -> Cells:
        """With those pairs that are new appended in ascending order; `self` if there is none."""
        new = self.find(states, actions) == UNKNOWN
        if not new.any():
            return self
        states, actions = states[new], actions[new]
        order = np.lexsort((actions, states))
        states, actions = states[order], actions[order]
        first = np.ones(len(states), dtype=bool)
        first[1:] = (states[1:] != states[:-1]) | (actions[1:] != actions[:-1])
        return Cells(
            np.concatenate([self.state_hash, states[first]]),
            np.concatenate([self.action, actions[first]]),
            self.n_actions,
        )
