"""`Walkers`: many agents' ways through one task, a step of all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qorum.errors import ConfigError

if TYPE_CHECKING:
    from qorum.lab.tasks.task import Task

NEVER = np.iinfo(np.int64).max


class Steps(NamedTuple):
    """One step of m walkers; no array of it changes later."""

    state: NDArray[np.int64]
    """i64[m]: where each stood."""
    next_state: NDArray[np.int64]
    """i64[m]: where it came to, before any restart."""
    reward: NDArray[np.float64]
    """f64[m], in the task's units."""
    terminated: NDArray[np.bool_]
    """bool[m]: nothing follows."""
    truncated: NDArray[np.bool_]
    """bool[m]: the time limit is over, and `next_state` has its usual value."""


class Walkers:
    """Steps m walkers through a task; whoever's episode is over starts the next one at once.

    The same transitions, start distribution and time limit as the task's environment. A step of 593 takes 10 to 60 us.
    """

    state: NDArray[np.int64]
    """i64[m]: where each walker stands now."""

    def __init__(self, task: Task, count: int, rng: np.random.Generator) -> None:
        """`count` walkers, all at the start of an episode.

        Raises:
            ConfigError: count is below 1.
        """
        if count < 1:
            raise ConfigError(f"count is {count}; there must be at least 1 walker")
        self._n_actions, self._limit, self._rng = task.n_actions, task.time_limit or NEVER, rng
        self._outcomes = int(task.probability.shape[2])
        self._ends = task.outcome_ends.reshape(-1, self._outcomes)
        self._next_state, self._reward = task.next_state.ravel(), task.reward.ravel()
        self._terminated = task.terminated.ravel()
        self._start_ends = task.start_ends
        self._age = np.zeros(count, dtype=np.int64)
        self.state = self._starts(count)

    def step(self, actions: NDArray[np.int64]) -> Steps:
        """Let walker i take actions[i], i64[m], 0..A-1.

        Raises:
            ConfigError: an action is out of range, or there are not as many as walkers; nobody moves.
        """
        outcome = self._drawn(self._checked(actions))
        next_state, terminated = self._next_state[outcome], self._terminated[outcome]
        self._age += 1
        truncated = self._age == self._limit
        steps = Steps(self.state, next_state, self._reward[outcome], terminated, truncated)
        self.state = self._restarted(next_state, terminated | truncated)
        return steps

    def _checked(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """i64[m]: the cells of these actions."""
        if actions.shape != self.state.shape or actions.min() < 0 or actions.max() >= self._n_actions:
            raise ConfigError(f"actions must be {self.state.size} of 0..{self._n_actions - 1}, not {actions}")
        return self.state * self._n_actions + actions

    def _drawn(self, cell: NDArray[np.int64]) -> NDArray[np.int64]:
        """i64[m]: the flat index of an outcome of each cell, drawn by its probability."""
        if self._outcomes == 1:
            return cell
        draw = self._rng.random((cell.size, 1))
        # Ends rise to 1, so the first that is not at or below the draw is the outcome's: argmin stops there.
        drawn: NDArray[np.int64] = (self._ends.take(cell, axis=0) <= draw).argmin(axis=1)
        return cell * self._outcomes + drawn

    def _restarted(self, state: NDArray[np.int64], over: NDArray[np.bool_]) -> NDArray[np.int64]:
        who = over.nonzero()[0]
        if not who.size:
            return state
        self._age[who] = 0
        state = state.copy()
        state[who] = self._starts(who.size)
        return state

    def _starts(self, count: int) -> NDArray[np.int64]:
        states: NDArray[np.int64] = self._start_ends.searchsorted(self._rng.random(count), side="right")
        return states
