"""`TableEnv`: a Gymnasium environment that walks a task's own table of transitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from qorum.errors import ConfigError
from qorum.lab.tasks.extra import gymnasium
from qorum.lab.tasks.task import Task
from qorum.lab.tasks.walker import Walker

Observation = Any
"""int of Discrete(S), or i64[D] of MultiDiscrete(dims)."""


class TableEnv(gymnasium.Env[Any, Any]):
    """The environment of a task: the transitions are the very ones that its Q* is computed from.

    It observes the whole state: as its number, or as one number per dimension where the task has `dims`. Episodes are
    truncated at the task's time limit.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, task: Task) -> None:
        self.task = task
        self.action_space = gymnasium.spaces.Discrete(task.n_actions)
        self.observation_space = (
            gymnasium.spaces.MultiDiscrete(list(task.dims)) if task.dims else gymnasium.spaces.Discrete(task.n_states)
        )
        self._walker: Walker | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; `seed` fixes everything from here on, `options` are none."""
        super().reset(seed=seed)
        self._walker = Walker(self.task, self.np_random)
        return self._seen(self._walker.reset()), {}

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take an action 0..A-1; returns (observation, reward, terminated, truncated, {}).

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet.
            ConfigError: no such action; the state is as before.
        """
        if self._walker is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if not self.action_space.contains(action):
            raise ConfigError(f"action {action!r} is none of 0..{self.task.n_actions - 1} of {self.task.name}")
        state, reward, terminated, truncated = self._walker.step(action)
        return self._seen(state), reward, terminated, truncated, {}

    def _seen(self, state: int) -> Observation:
        seen = self.task.observations[state]
        return int(seen) if np.ndim(seen) == 0 else seen.copy()
