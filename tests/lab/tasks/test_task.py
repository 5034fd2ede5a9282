"""Exact values of tasks, and Q-tables on them."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.tasks import KNOWN, Task, from_transitions, greedy, load
from qorum.lab.tasks.task import continuing
from qorum.qtable import QTable

TASKS = {name: load(name) for name in KNOWN}
ICE = TASKS["FrozenLake-v1"]


@pytest.fixture(params=list(KNOWN))
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


def solved(task: Task, weights: np.ndarray) -> float:
    """The value of a policy f64[S,A], as the solution of its linear system."""
    step = np.zeros((task.n_states, task.n_states))
    state, action, _ = np.indices(task.probability.shape)
    chance = weights[state, action] * np.where(task.terminated, 0.0, task.probability)
    np.add.at(step, (state, task.next_state), chance)
    rewards = (weights[state, action] * task.probability * task.reward).sum(axis=(1, 2))
    return float(task.start @ np.linalg.solve(np.eye(task.n_states) - task.gamma * step, rewards))


def by_hand(gamma: float = 0.5) -> Task:
    """State 0: action 0 stays for 1; action 1 ends with 5 or goes on to state 1. State 1: ends with 2 or 0.

    State 2 is entered by ending alone.
    """
    moves = {
        0: {0: [(1.0, 0, 1.0, False)], 1: [(0.5, 2, 5.0, True), (0.5, 1, 0.0, False)]},
        1: {0: [(1.0, 2, 2.0, True)], 1: [(1.0, 0, 0.0, True)]},
        2: {0: [(1.0, 2, 9.0, True)], 1: [(1.0, 2, 9.0, True)]},
    }
    return from_transitions("by hand", moves, np.array([0.75, 0.25, 0.0]), gamma=gamma)


# ---- values


def test_known_optima() -> None:
    # Thirteen steps of -1 along the cliff; the sixth move reaches the goal; a much published figure on ice.
    assert TASKS["CliffWalking-v1"].optimum == pytest.approx(-(1 - 0.95**13) / 0.05)
    assert TASKS["FrozenLake-v1-deterministic"].optimum == pytest.approx(0.95**5)
    assert ICE.optimum == pytest.approx(0.180472, abs=1e-6)
    assert TASKS["CliffWalking-v1"].trivial == pytest.approx(-20)  # bump into a wall for ever


def test_shapes(task: Task) -> None:
    outcomes = (task.n_states, task.n_actions, task.probability.shape[2])
    assert task.next_state.shape == task.reward.shape == task.terminated.shape == outcomes
    np.testing.assert_allclose(task.probability.sum(axis=2), 1)
    assert task.start.sum() == pytest.approx(1)


def test_the_reward_range_is_of_what_can_happen() -> None:
    assert (TASKS["Taxi-v4"].r_min, TASKS["Taxi-v4"].r_max) == (-10, 20)
    assert (TASKS["CliffWalking-v1"].r_min, TASKS["CliffWalking-v1"].r_max) == (-100, -1)


def test_optimal_q_solves_the_bellman_equation(task: Task) -> None:
    onward = np.where(task.terminated, 0.0, task.optimal_q.max(axis=1)[task.next_state])
    backup = (task.probability * (task.reward + task.gamma * onward)).sum(axis=2)
    np.testing.assert_allclose(task.optimal_q, backup, rtol=0, atol=2e-12)
    value = task.start @ task.optimal_q.max(axis=1)
    assert task.optimum == pytest.approx(value, abs=1e-9)


def test_the_scale_runs_from_trivial_to_optimum(task: Task) -> None:
    assert task.normalised_value(greedy(task.optimal_q)) == pytest.approx(1)
    fixed = [np.full(task.n_states, action) for action in range(task.n_actions)]
    uniform = np.full(task.optimal_q.shape, 1 / task.n_actions)
    values = [task.normalised_value(policy) for policy in (uniform, *fixed)]
    assert max(value for value in values if value < 1 - 1e-6) == pytest.approx(0, abs=1e-9)


def test_a_fixed_action_that_is_optimal_is_not_what_counts_as_trivial() -> None:
    river = TASKS["RiverSwim-6"]
    assert river.policy_value(np.ones(6, int)) == pytest.approx(river.optimum)
    assert river.normalised_value(np.ones(6, int)) == pytest.approx(1)
    assert river.trivial < river.optimum


def test_without_any_choice_there_is_no_scale() -> None:
    idle = continuing("idle", np.ones((1, 2, 1)), np.zeros((1, 2, 1), int), np.ones((1, 2, 1)))
    with pytest.raises(ConfigError, match="idle all actions are equally good"):
        idle.normalised_value(np.array([0]))


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "Handover"])  # large: a test of its own has it
def test_policy_values_agree_with_the_linear_system(name: str) -> None:
    task = TASKS[name]
    rng = np.random.default_rng(3)
    policy = rng.integers(task.n_actions, size=task.n_states)
    mixed = rng.dirichlet(np.ones(task.n_actions), size=task.n_states)
    assert task.policy_value(policy) == pytest.approx(solved(task, np.eye(task.n_actions)[policy]), rel=1e-9)
    assert task.policy_value(mixed) == pytest.approx(solved(task, mixed), rel=1e-9)


def test_a_task_by_hand() -> None:
    task = by_hand()
    # Leaving is worth 0.5 * 5 + 0.5 * 0.5 * 2 = 3, staying once first 1 + 0.5 * 3 = 2.5.
    np.testing.assert_allclose(task.optimal_q, [[2.5, 3.0], [2.0, 0.0], [9.0, 9.0]])
    assert task.optimum == pytest.approx(0.75 * 3 + 0.25 * 2)
    assert task.policy_value(np.array([0, 0, 0])) == pytest.approx(0.75 * 2 + 0.25 * 2)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.zeros(3, int), r"int\[16\]"),
        (np.zeros(16), r"float64\[16\]"),
        (np.full(16, 4), r"4\.\.4"),
        (np.full((16, 4), 0.3), "sum to 1"),
        (np.tile([1.5, -0.5, 0, 0], (16, 1)), "sum to 1"),
    ],
)
def test_impossible_policies_are_refused(policy: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ICE.policy_value(policy)


@pytest.mark.parametrize(
    ("chance", "after", "gamma", "message"),
    [
        ([[[0.5, 0.4]]], [[[0, 0]]], 0.5, "probabilities"),
        ([[[1.5, -0.5]]], [[[0, 0]]], 0.5, "probabilities"),
        ([[[1.0]]], [[[1]]], 0.5, r"next states must be 0\.\.0"),
        ([[[1.0]]], [[[0]]], 1.0, r"gamma is 1\.0"),
    ],
)
def test_what_is_no_decision_process_is_refused(
    chance: list[object], after: list[object], gamma: float, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        continuing("odd", np.array(chance), np.array(after), np.zeros(1), gamma=gamma)


def test_the_table_of_a_task_cannot_change() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ICE.probability[0, 0, 0] = 0.5
    with pytest.raises(ValueError, match="read-only"):
        ICE.optimal_q[0, 0] = 0.5


def test_greedy_takes_the_lowest_of_equals() -> None:
    assert greedy(np.array([[0.0, 2.0, 2.0], [1.0, 1.0, 1.0]])).tolist() == [1, 0]


# ---- errors


def test_reachable_are_cells_that_a_life_can_come_to() -> None:
    assert by_hand().reachable.tolist() == [[True, True], [True, True], [False, False]]
    holes_and_goal = [5, 7, 11, 12, 15]
    assert np.flatnonzero(~ICE.reachable.any(axis=1)).tolist() == holes_and_goal
    assert np.flatnonzero(~TASKS["CliffWalking-v1"].reachable.all(axis=1)).tolist() == [*range(37, 48)]
    assert TASKS["Taxi-v4"].reachable.any(axis=1).sum() == 400  # whoever is delivered has ended


def test_the_error_is_the_largest_one_relative_to_the_largest_value() -> None:
    task = by_hand()
    assert task.relative_sup_error(task.optimal_q) == 0.0
    off = np.array([[0.0, -0.3], [0.6, 0.0], [50.0, 50.0]])  # state 2 is never visited: neither 50 nor 9 counts
    assert task.relative_sup_error(task.optimal_q + off) == pytest.approx(0.6 / 3)
    with pytest.raises(ConfigError, match=r"float\[3, 2\], not \[3, 3\]"):
        task.relative_sup_error(np.zeros((3, 3)))


# ---- Q-tables


def test_a_table_is_evaluated_through_the_hashes_of_its_states(task: Task) -> None:
    full = QTable.from_columns(
        np.repeat(task.state_hashes(), task.n_actions), np.tile(np.arange(task.n_actions), task.n_states),
        task.optimal_q.ravel(), np.ones(task.optimal_q.size, int),
    )  # fmt: skip
    assert task.evaluate(full, 0.0) == pytest.approx(1)
    assert len(set(task.state_hashes().tolist())) == task.n_states
    # An empty table takes action 0 everywhere.
    lowest = task.normalised_value(np.zeros(task.n_states, int))
    assert task.evaluate(QTable.empty(), 0.0) == pytest.approx(lowest)


def test_cells_a_table_lacks_count_the_initial_value() -> None:
    task = TASKS["CliffWalking-v1"]
    best = greedy(task.optimal_q)
    known = QTable.from_columns(
        task.state_hashes(), best, np.full(48, -5.0), np.ones(48, int)
    )  # every other cell looks better at 0, worse at -9
    assert task.evaluate(known, -9.0) == pytest.approx(1)
    assert task.evaluate(known, 0.0) < 0.5
