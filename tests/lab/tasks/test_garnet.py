"""Random decision processes."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.tasks.garnet import garnet


def test_each_cell_has_as_many_successors_as_asked_for() -> None:
    task = garnet(30, 3, 4)
    assert task.probability.shape == (30, 3, 4)
    assert all(len(set(cell)) == 4 for cell in task.next_state.reshape(-1, 4).tolist())
    assert task.probability.min() > 0
    np.testing.assert_allclose(np.sort(task.next_state[:, :, 0].ravel())[[0, -1]], [0, 29], atol=2)


def test_rewards_are_fixed_for_a_cell_and_between_0_and_1() -> None:
    task = garnet(100, 4, 5)
    assert (task.reward == task.reward[:, :, :1]).all()
    assert 0 <= task.r_min < 0.02
    assert 0.98 < task.r_max < 1
    assert task.reward.mean() == pytest.approx(0.5, abs=0.05)


def test_probabilities_are_spacings_of_uniform_cuts() -> None:
    # Each of b spacings has mean 1/b and second moment 2 / (b (b + 1)).
    probability = garnet(500, 4, 5).probability
    np.testing.assert_allclose(probability.mean(axis=(0, 1)), 0.2, atol=0.02)
    np.testing.assert_allclose((probability**2).mean(), 2 / 30, atol=0.003)


def test_a_seed_draws_the_same_one_again_and_another_one_another() -> None:
    np.testing.assert_array_equal(garnet(10, 2, 3, seed=7).optimal_q, garnet(10, 2, 3, seed=7).optimal_q)
    assert (garnet(10, 2, 3, seed=7).optimal_q != garnet(10, 2, 3, seed=8).optimal_q).any()


def test_one_branch_is_certain() -> None:
    task = garnet(5, 2, 1)
    assert (task.probability == 1).all()
    assert task.policy_value(task.optimal_q.argmax(axis=1)) == pytest.approx(task.start @ task.optimal_q.max(axis=1))


@pytest.mark.parametrize(("sizes", "message"), [((5, 2, 6), r"branches is 6, allowed is 1\.\.5"), ((5, 2, 0), "is 0"),
                                                ((5, 1, 2), "actions is 1"), ((0, 2, 1), "branches is 1")])  # fmt: skip
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        garnet(*sizes)
