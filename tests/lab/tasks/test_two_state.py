"""The two-state problem."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.tasks.two_state import two_state


def test_the_problem_is_the_published_one() -> None:
    task = two_state(20, seed=3)
    assert (task.n_states, task.n_actions, task.gamma, task.time_limit) == (2, 20, 0.9, None)
    assert task.start.tolist() == [0.5, 0.5]
    leave = task.probability[:, :, 1]
    assert ((leave >= 0.4) & (leave <= 0.6)).all()
    assert (task.next_state[:, :, 1] == [[1], [0]]).all()
    assert (task.next_state[:, :, 0] == [[0], [1]]).all()
    assert (task.reward == np.array([0.0, 1.0])[:, None, None]).all()


def test_the_optimum_is_to_leave_0_and_stay_in_1() -> None:
    task = two_state(20)
    leave = task.probability[:, :, 1]
    assert task.optimal_q.argmax(axis=1).tolist() == [leave[0].argmax(), leave[1].argmin()]
    go, leak = leave[0].max(), leave[1].min()
    # V0 = 0.9 ((1 - go) V0 + go V1) and V1 = 1 + 0.9 (leak V0 + (1 - leak) V1), solved for V1 - V0.
    gap = 1 / (1 - 0.9 * (1 - go - leak))
    assert task.optimal_q.max(axis=1)[1] - task.optimal_q.max(axis=1)[0] == pytest.approx(gap)


def test_seeds() -> None:
    assert (two_state(4, seed=1).probability == two_state(4, seed=1).probability).all()
    assert (two_state(4, seed=1).probability != two_state(4, seed=2).probability).all()
    with pytest.raises(ConfigError, match="actions is 1"):
        two_state(1)
