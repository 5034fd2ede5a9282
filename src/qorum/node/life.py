"""`Life`: an agent that a node lets live in an environment of its own, at a steady pace, until the node ends."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from qorum.errors import ConfigError, MissingExtra
from qorum.node.host import Host

TURN = 0.05
"""Seconds between two turns; the steps of each are taken at once."""
GRID = "grid"
"""Name of the task that needs no library."""


class Grid:
    """A square of cells: from a corner to the opposite one, each step costs; shaped as Gymnasium's environments.

    Actions: 0 left, 1 down, 2 right, 3 up. Rewards: -0.01 a step, 1 on arrival.
    """

    n_actions = 4

    def __init__(self, side: int = 8) -> None:
        self._side = side
        self._at, self._steps = 0, 0

    def reset(self, seed: int | None = None) -> tuple[int, dict[str, Any]]:
        """Back to the first corner."""
        self._at, self._steps = 0, 0
        return self._at, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """One step; against a wall it leads nowhere."""
        row, column = divmod(self._at, self._side)
        down, right = ((0, -1), (1, 0), (0, 1), (-1, 0))[action]
        row, column = (min(max(place, 0), self._side - 1) for place in (row + down, column + right))
        self._at, self._steps = row * self._side + column, self._steps + 1
        arrived = self._at == self._side**2 - 1
        return self._at, 1.0 if arrived else -0.01, arrived, self._steps >= 4 * self._side**2, {}


def make_env(task: str) -> Any:
    """`grid`, or an environment of Gymnasium. Raises `ConfigError` if there is none of that name."""
    if task == GRID:
        return Grid()
    try:
        import gymnasium
    except ImportError as error:
        raise MissingExtra("gymnasium", "gym", f"the task {task}") from error
    try:
        return gymnasium.make(task)
    except gymnasium.error.Error as error:
        raise ConfigError(f"no task {task!r}: give `{GRID}` or an environment of Gymnasium; {error}") from error


class Life:
    """The agent of one host, stepping through its environment `rate` times a second."""

    def __init__(self, host: Host, task: str, rate: float, seed: int) -> None:
        self._host, self._env, self._rate = host, make_env(task), rate
        self._obs, _ = self._env.reset(seed=seed)
        self._start = Random(seed).random() * TURN

    async def run(self) -> None:
        """Live until cancelled, or until the host ends."""
        loop, taken = asyncio.get_running_loop(), 0
        await asyncio.sleep(self._start)
        begun = loop.time()
        while self._host.is_up:
            due = int((loop.time() - begun) * self._rate)
            taken += self._take(min(due - taken, max(1, int(self._rate))))
            self._host.lived()
            await asyncio.sleep(max(TURN, 1 / self._rate))

    def _take(self, steps: int) -> int:
        agent = self._host.table.agent
        for _ in range(steps):
            action = agent.act(self._obs)
            obs, reward, terminated, truncated, _ = self._env.step(action)
            agent.learn(self._obs, action, float(reward), obs, terminated, truncated)
            self._obs = self._env.reset()[0] if terminated or truncated else obs
        return steps
