"""`Places`: the cells of a task by number, as the arena has them, and by name, as members do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qorum.lab.tasks import Task
from qorum.merge.fixed import Ints


class Places:
    """Cell state * A + action of a task, and (state_hash, action)."""

    def __init__(self, task: Task) -> None:
        self._n_actions = task.n_actions
        self._hashes = task.state_hashes()
        self._order = np.argsort(self._hashes)
        self._sorted = self._hashes[self._order]

    def cells(self, states: NDArray[np.uint64], actions: NDArray[np.uint8]) -> Ints:
        """int64[m]: the numbers of cells named by hashes of states of this task, uint64[m], and actions, uint8[m]."""
        return np.asarray(self._order[np.searchsorted(self._sorted, states)] * self._n_actions + actions)

    def names(self, cells: Ints) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        """uint64[m] and uint8[m]: the names of cells int64[m]."""
        states, actions = np.divmod(cells, self._n_actions)
        return self._hashes[states], actions.astype(np.uint8)
