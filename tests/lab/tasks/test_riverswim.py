"""RiverSwim as published."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.lab.tasks.riverswim import riverswim


def test_the_chain() -> None:
    task = riverswim()
    step = np.zeros((6, 2, 6))
    np.add.at(step, (*np.indices(task.probability.shape)[:2], task.next_state), task.probability)
    np.testing.assert_array_equal(step[:, 0], np.eye(6)[[0, 0, 1, 2, 3, 4]])  # the current always takes it down
    np.testing.assert_allclose(step[0, 1, :2], [0.4, 0.6])
    np.testing.assert_allclose(step[5, 1, 4:], [0.4, 0.6])
    for state in (1, 2, 3, 4):
        np.testing.assert_allclose(step[state, 1, state - 1 : state + 2], [0.05, 0.6, 0.35])
    expected = np.zeros((6, 2))
    expected[0, 0], expected[5, 1] = 0.005, 1
    np.testing.assert_allclose(task.expected_reward, expected)
    assert (task.start.tolist(), task.gamma, task.time_limit) == ([1, 0, 0, 0, 0, 0], 0.95, None)


def test_swimming_up_is_worth_it_from_everywhere() -> None:
    task = riverswim()
    assert (task.optimal_q.argmax(axis=1) == 1).all()
    assert task.policy_value(np.zeros(6, int)) == pytest.approx(0.005 / 0.05)
