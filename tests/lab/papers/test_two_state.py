"""The two-state problem is the published one, and its walks are walks in it."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.papers.two_state import GAMMA, Walks
from qorum.lab.tasks.two_state import two_state


def test_the_optimum_satisfies_the_bellman_equation_of_the_task() -> None:
    task = two_state(5, seed=3)
    walks = Walks(2, 5, seed=0, actions=5)
    assert (task.gamma, walks.optimum.shape) == (GAMMA, (2, 2, 5))
    value = walks.optimum.max(axis=2)
    for state, reward in enumerate((0.0, 1.0)):
        leave = walks.leave[state]
        backup = reward + GAMMA * ((1 - leave) * value[state, :, None] + leave * value[1 - state, :, None])
        np.testing.assert_allclose(walks.optimum[state], backup, atol=1e-12)
        assert set(task.reward[state].ravel().tolist()) == {reward}


def test_agents_leave_as_often_as_their_action_says() -> None:
    walks = Walks(3, 8, seed=1, actions=4)
    path = walks.walk(20_000)
    for run, agent in ((0, 0), (1, 5), (2, 7)):
        way = path[:, run, agent]
        for state in (0, 1):
            left = (way[1:] != way[:-1])[way[:-1] == state].mean()
            assert left == pytest.approx(walks.leave[state, run, agent % 4], abs=0.02)
    assert ((walks.leave >= 0.4) & (walks.leave <= 0.6)).all()


def test_a_walk_goes_on_where_the_last_one_ended_and_comes_from_the_seed() -> None:
    def parts() -> list[list[int]]:
        walks = Walks(2, 4, seed=5, actions=2)
        return [walks.walk(3).ravel().tolist() for _ in range(2)]

    first, second = parts()
    assert first[-8:] == second[:8]
    assert parts() == [first, second]


def test_errors_are_normalised() -> None:
    walks = Walks(3, 4, seed=0, actions=2)
    off = walks.optimum.copy()
    off[1, 2, 0] -= 3.0
    errors = walks.errors(np.stack([walks.optimum, off]))
    np.testing.assert_allclose(errors, [[0, 0, 0], [0, 0, 3 * (1 - GAMMA)]], atol=1e-12)


@pytest.mark.parametrize(("runs", "agents", "actions"), [(0, 4, 2), (1, 5, 2), (1, 0, 2), (1, 3, 1)])
def test_fleets_that_do_not_come_out_even_are_refused(runs: int, agents: int, actions: int) -> None:
    with pytest.raises(ConfigError, match=f"{agents} agents"):
        Walks(runs, agents, seed=0, actions=actions)
