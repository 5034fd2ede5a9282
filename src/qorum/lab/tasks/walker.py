"""`Walker`: one agent's way through a task, step by step, without Gymnasium."""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qorum.lab.tasks.task import Task

Outcome = tuple[int, float, bool]
"""(next state, reward, terminated)."""
Cell = tuple[list[float], list[Outcome]]
"""The ends of the outcomes' shares of [0, 1), and the outcomes."""


class Uniform(Protocol):
    """A source of uniform numbers: `random.Random` or `numpy.random.Generator`."""

    def random(self) -> float:
        """The next number from [0, 1)."""
        ...


class Walker:
    """Steps through a task's own table of transitions, from its start distribution, with its time limit."""

    __slots__ = ("_cells", "_limit", "_random", "_starts", "_state", "_steps")

    def __init__(self, task: Task, source: Uniform) -> None:
        self._cells = task._cells
        self._starts = task.start_ends
        self._random = source.random
        self._limit = task.time_limit or inf
        self._steps = 0
        self._state = 0

    def reset(self) -> int:
        """Start an episode; returns its first state."""
        self._state = int(self._starts.searchsorted(self._random(), side="right"))
        self._steps = 0
        return self._state

    def step(self, action: int) -> tuple[int, float, bool, bool]:
        """Take an action; returns (next state, reward, terminated, truncated)."""
        ends, outcomes = self._cells[self._state][action]
        drawn = bisect_right(ends, self._random()) if len(ends) > 1 else 0
        self._state, reward, terminated = outcomes[drawn]
        self._steps += 1
        return self._state, reward, terminated, self._steps >= self._limit


def cells_of(task: Task) -> list[list[Cell]]:
    """[state][action]: what a walker draws from, in plain Python numbers, which are quicker one at a time."""
    columns = (task.outcome_ends, task.next_state, task.reward, task.terminated)
    return [
        [(ends, list(zip(*outcomes, strict=True))) for ends, *outcomes in zip(*actions, strict=True)]
        for actions in zip(*(column.tolist() for column in columns), strict=True)
    ]
