"""The averaging rules, each by its formula, on tables made up for it."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.lab.methods import METHODS, Setting
from qorum.lab.tasks import Steps, load

TASK = load("FrozenLake-v1")


def _steps(state: list[int], next_state: list[int], reward: list[float], terminated: list[bool]) -> Steps:
    ends = np.array(terminated)
    return Steps(np.array(state), np.array(next_state), np.array(reward), ends, np.zeros(len(state), dtype=bool))


def _learned(name: str, times: int) -> float:
    """Cell 0 after agent 0 visited it `times` times for a reward of 1 that ends it, and agent 1 once for 0."""
    method = METHODS[name](Setting(TASK, 2, 5, step_size=0.5))
    for visit in range(times):
        cell = np.array([0, 0 if visit == 0 else 4])
        method.learn(cell, _steps([0, 0], [1, 1], [1.0, 0.0], [True, True]))
    method.sync()
    return float(method.learned[0, 0, 0])


def test_equal_averaging_counts_every_table_once() -> None:
    assert _learned("equal", 2) == pytest.approx((0.75 + 0) / 2)


def test_visit_weighting_is_the_founding_formula() -> None:
    assert _learned("visit_weighted", 2) == pytest.approx((0.75 * 2 + 0 * 1) / 3)


def test_importance_weights_grow_with_visits() -> None:
    assert _learned("importance", 2) == pytest.approx((0.75 * 0.5**-2 + 0 * 0.5**-1) / (0.5**-2 + 0.5**-1))


def test_implied_undoes_the_shrinking_of_each_step_and_takes_that_of_all_visits() -> None:
    # Agent 0 implies 1 from two visits, agent 1 implies 0 from one: mean 2/3, and three visits move 1 - .5^3 of it.
    assert _learned("implied", 2) == pytest.approx((1 - 0.5**3) * 2 / 3, abs=1e-5)


@pytest.mark.parametrize("name", ["equal", "visit_weighted", "importance", "implied", "replay", "pooled"])
def test_a_cell_that_nobody_visited_keeps_its_value(name: str) -> None:
    size = 0.5 if METHODS[name].tuned else None
    method = METHODS[name](Setting(TASK, 2, 5, size))
    method.learn(np.array([0, 0]), _steps([0, 0], [1, 1], [1.0, 1.0], [True, True]))
    method.sync()
    assert (method.learned[0].ravel()[1:] == 0).all()
    assert method.learned[0, 0, 0] > 0


@pytest.mark.parametrize("name", ["equal", "visit_weighted", "importance"])
def test_bytes_are_the_cells_that_the_others_know(name: str) -> None:
    method = METHODS[name](Setting(TASK, 3, 5, 0.5))
    method.learn(np.array([0, 0, 4]), _steps([0, 0, 1], [1, 1, 2], [0.0] * 3, [False] * 3))
    assert method.sync() == 17 * 3 * 2 // 3


def test_isolated_agents_keep_their_own_tables() -> None:
    method = METHODS["isolated"](Setting(TASK, 593, 5, 0.5))
    few = method.setting.agents
    state = np.arange(few) % 4
    method.learn(state * 4, _steps(state.tolist(), [0] * few, list(range(few)), [True] * few))
    assert method.sync() == 0
    assert method.learned.shape == (few, 16, 4)
    assert [float(table.max()) for table in method.learned] == [0.5 * reward for reward in range(few)]
