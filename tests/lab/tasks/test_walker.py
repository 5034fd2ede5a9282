"""One walker at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.lab.tasks import KNOWN, Walker, load

TASKS = {name: load(name) for name in KNOWN}


@pytest.mark.parametrize("name", KNOWN)
def test_a_walker_takes_possible_transitions_only(name: str) -> None:
    task = TASKS[name]
    walker, rng = task.walker(seed=4), np.random.default_rng(5)
    state = walker.reset()
    for _ in range(300):
        action = int(rng.integers(task.n_actions))
        *moved, truncated = walker.step(action)
        columns = (task.next_state, task.reward, task.terminated)
        possible = task.probability[state, action] > 0
        assert tuple(moved) in set(zip(*(column[state, action][possible].tolist() for column in columns), strict=True))
        state = walker.reset() if moved[2] or truncated else int(moved[0])


def test_the_walker_has_the_start_distribution_and_time_limit() -> None:
    task = TASKS["Taxi-v4"]
    walker = task.walker(seed=1)
    starts = np.bincount([walker.reset() for _ in range(30_000)], minlength=task.n_states)
    assert not starts[task.start == 0].any()
    expected = 30_000 * task.start
    chi2 = ((starts - expected)[task.start > 0] ** 2 / expected[task.start > 0]).sum()
    assert chi2 < 400  # 299 degrees of freedom: chance of more is below 1e-4
    walker.reset()
    steps = [walker.step(0)[3] for _ in range(200)]
    assert steps == [False] * 199 + [True]
    walker.reset()
    assert walker.step(0)[3] is False


def test_the_walker_draws_outcomes_as_often_as_the_table_says() -> None:
    task = TASKS["FrozenLake-v1"]
    walker = task.walker(seed=2)
    seen = np.zeros(task.n_states)
    for _ in range(9000):
        walker.reset()
        seen[walker.step(2)[0]] += 1
    assert set(np.flatnonzero(seen)) == {0, 1, 4}
    np.testing.assert_allclose(seen[[0, 1, 4]], 3000, atol=200)


class Highest:
    """The highest number that a uniform draw can give."""

    def random(self) -> float:
        return float(np.nextafter(1.0, 0.0))


def test_the_highest_draw_takes_something_possible() -> None:
    # Five hundred equal shares add up to less than 1, and padded outcomes follow the last possible one.
    walker = Walker(TASKS["Taxi-v4"], Highest())
    assert TASKS["Taxi-v4"].start[walker.reset()] > 0
    walker = Walker(TASKS["FrozenLake-v1"], Highest())
    walker.reset()
    assert walker.step(2)[0] in {0, 1, 4}


@given(st.integers(0, 2**32))
def test_walkers_of_one_seed_walk_alike(seed: int) -> None:
    paths = []
    for _ in range(2):
        walker = TASKS["FrozenLake8x8-v1"].walker(seed)
        paths.append([walker.reset(), *(walker.step(k % 4) for k in range(20))])
    assert paths[0] == paths[1]
