"""Many walkers at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.tasks import KNOWN, Task, Walkers, from_transitions, load

TASKS = {name: load(name) for name in KNOWN}


def walkers(task: Task, count: int, seed: int = 1) -> tuple[Walkers, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return Walkers(task, count, rng), rng


def excess(seen: np.ndarray, probability: np.ndarray) -> float:
    """Chi square of counts i64[K] against probabilities, in standard deviations above its mean.

    What is expected fewer than 5 times counts as one.
    """
    expected = seen.sum() * probability
    rare = expected < 5
    counts, means = (np.append(x[~rare], x[rare].sum()) for x in (seen, expected))
    square = ((counts - means) ** 2)[means > 0] / means[means > 0]
    freedom = square.size - 1
    return float((square.sum() - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("name", KNOWN)
def test_every_step_is_a_possible_transition_from_where_the_walker_stood(name: str) -> None:
    task = TASKS[name]
    many, rng = walkers(task, 200)
    for _ in range(50):
        before, actions = many.state, rng.integers(task.n_actions, size=200)
        steps = many.step(actions)
        np.testing.assert_array_equal(steps.state, before)
        cells = before, actions
        same = (
            (task.next_state[cells] == steps.next_state[:, None])
            & (task.reward[cells] == steps.reward[:, None])
            & (task.terminated[cells] == steps.terminated[:, None])
        )
        assert (same & (task.probability[cells] > 0)).any(axis=1).all()


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Handover", "CellSleep", "GARNET(100,4,5)", "TwoState(20)"])
def test_outcomes_are_as_frequent_as_the_table_says(name: str) -> None:
    task = TASKS[name]
    many, rng = walkers(task, 20_000)
    for state in rng.choice(np.flatnonzero(task.reachable[:, 0]), 10):
        action = int(rng.integers(task.n_actions))
        many.state = np.full(20_000, state)
        steps = many.step(np.full(20_000, action))
        chances = np.bincount(task.next_state[state, action], task.probability[state, action], task.n_states)
        seen = np.bincount(steps.next_state, minlength=task.n_states)
        assert not seen[chances == 0].any()
        assert abs(excess(seen, chances)) < 4
        mean = task.expected_reward[state, action]
        variance = (task.probability[state, action] * (task.reward[state, action] - mean) ** 2).sum()
        assert steps.reward.mean() == pytest.approx(mean, abs=5 * (variance / 20_000) ** 0.5 + 1e-9)


def test_whoever_terminates_stands_at_a_start_again() -> None:
    task = TASKS["FrozenLake-v1"]
    many, rng = walkers(task, 300)
    assert not many.state.any()
    ended = 0
    for _ in range(30):
        steps = many.step(rng.integers(4, size=300))
        went_on = ~steps.terminated
        np.testing.assert_array_equal(many.state[went_on], steps.next_state[went_on])
        assert not many.state[steps.terminated].any()
        assert steps.next_state[steps.terminated].all()  # the hole or the goal, not the start
        ended += steps.terminated.sum()
    assert ended > 500


def test_starts_are_drawn_from_the_start_distribution() -> None:
    task = TASKS["Taxi-v4"]
    many, _ = walkers(task, 30_000)
    seen = np.bincount(many.state, minlength=500)
    assert not seen[task.start == 0].any()
    assert abs(excess(seen, task.start)) < 4


def test_the_time_limit_truncates_and_counts_anew() -> None:
    many, _ = walkers(TASKS["GARNET(100,4,5)"], 3)
    truncated = [many.step(np.zeros(3, int)).truncated.tolist() for _ in range(600)]
    assert [at + 1 for at, each in enumerate(truncated) if all(each)] == [200, 400, 600]
    assert sum(map(any, truncated)) == 3
    endless, _ = walkers(TASKS["TwoState(20)"], 3)
    assert not any(endless.step(np.zeros(3, int)).truncated.any() for _ in range(600))


def test_the_clock_of_an_episode_is_its_own() -> None:
    # Action 0 stays, action 1 ends.
    moves = {0: {0: [(1.0, 0, 0.0, False)], 1: [(1.0, 0, 0.0, True)]}}
    many, _ = walkers(from_transitions("stay or go", moves, np.ones(1), time_limit=3), 2)
    many.step(np.array([0, 1]))
    assert many.step(np.array([0, 0])).truncated.tolist() == [False, False]
    assert many.step(np.array([0, 0])).truncated.tolist() == [True, False]
    assert many.step(np.array([0, 0])).truncated.tolist() == [False, True]


def test_equal_seeds_walk_alike_and_others_do_not() -> None:
    def path(seed: int) -> list[list[int]]:
        many, rng = walkers(TASKS["Handover"], 20, seed)
        return [many.step(rng.integers(2, size=20)).next_state.tolist() for _ in range(10)]

    assert path(1) == path(1)
    assert path(1) != path(2)


def test_what_a_step_gave_does_not_change_later() -> None:
    many, _ = walkers(TASKS["FrozenLake-v1"], 50)
    steps = [many.step(np.full(50, 1)) for _ in range(20)]
    for one, after in pairwise(steps):
        assert (after.state == np.where(one.terminated, 0, one.next_state)).all()


@pytest.mark.parametrize("actions", [[0, 4], [0, -1], [0], [[0, 1]]])
def test_impossible_actions_are_refused_and_nobody_moves(actions: list[object]) -> None:
    many, _ = walkers(TASKS["FrozenLake-v1"], 2)
    with pytest.raises(ConfigError, match=r"2 of 0\.\.3"):
        many.step(np.array(actions))
    assert many.state.tolist() == [0, 0]


def test_there_must_be_somebody() -> None:
    with pytest.raises(ConfigError, match="count is 0"):
        walkers(TASKS["FrozenLake-v1"], 0)
