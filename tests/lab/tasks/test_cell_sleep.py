"""The cell-sleep problem, against figures of an independent implementation of the same model."""

from __future__ import annotations

from math import exp, factorial

import gymnasium
import numpy as np
import pytest

from qorum.lab.tasks.cell_sleep import DIMS, CellSleepEnv, cell_sleep, threshold

TASK = cell_sleep()
THRESHOLD_VALUES = {
    1: [-26.954033042081566, -26.9788866698064, -27.474532021983613, -28.23802787756956, -29.207229897133185],
    2: [-27.839633357184546, -27.4037215058152, -27.68779798222527, -28.357225840780192, -29.262872552045213],
}
"""Mode -> values when waking at 1, 2, ... packets."""
NIGHT, EVENING = 0, 3


def state(queue: int, phase: int = NIGHT, mode: int = 0, waking: int = 0) -> int:
    return int(np.ravel_multi_index((queue, phase, mode, waking), DIMS))


def after(*cell: int) -> tuple[set[int], set[int]]:
    """Modes and waking times that may follow a cell."""
    _, _, mode, waking = np.unravel_index(TASK.next_state[cell], DIMS)
    return set(mode.tolist()), set(waking.tolist())


def test_values_of_the_reference() -> None:
    assert (TASK.n_states, TASK.n_actions) == (324, 3)
    assert np.abs(TASK.optimal_q).max() == pytest.approx(42.067053774668146, abs=1e-9)
    assert TASK.optimum == pytest.approx(-23.587826910454975, abs=1e-9)
    assert TASK.start @ TASK.optimal_q.max(axis=1) == pytest.approx(-23.587826910454975, abs=1e-9)
    assert TASK.policy_value(np.full((324, 3), 1 / 3)) == pytest.approx(-71.13345310864085, abs=1e-9)
    assert TASK.policy_value(np.zeros(324, int)) == pytest.approx(-24.60043502745257, abs=1e-9)


@pytest.mark.parametrize("mode", THRESHOLD_VALUES)
def test_the_usual_rules_are_worth_what_the_reference_says(mode: int) -> None:
    values = [TASK.policy_value(threshold(mode, wake_at)) for wake_at in range(1, 6)]
    assert values == pytest.approx(THRESHOLD_VALUES[mode], abs=1e-9)


def test_the_start_is_any_state() -> None:
    assert (TASK.start == 1 / 324).all()
    assert TASK.reachable.all()
    assert not TASK.terminated.any()
    assert (TASK.gamma, TASK.time_limit) == (0.95, 200)


def test_sleep_and_waking() -> None:
    assert after(state(0), 2) == ({2}, {0})
    assert after(state(0, mode=1), 0) == ({0}, {0})  # light sleep: awake in the next step
    assert after(state(0, mode=2), 0) == ({0}, {1})  # deep sleep: one step later
    assert after(state(0, mode=2), 2) == ({2}, {0})
    assert after(state(0, waking=2), 2) == ({0}, {1})  # does not listen


def test_energy() -> None:
    quiet = TASK.reward[:, :, 0]  # no arrival
    assert quiet[state(0), 0] == pytest.approx(-0.6)
    assert quiet[state(0), 1] == pytest.approx(-1.0)
    assert quiet[state(0, mode=1), 1] == pytest.approx(-0.45)
    assert quiet[state(0, mode=2), 2] == pytest.approx(-0.12)
    assert quiet[state(0, mode=2), 0] == quiet[state(0, waking=1), 1] == pytest.approx(-1.2)
    assert quiet[state(4), 0] == pytest.approx(-1.0 - 1.5 * 4 / 8)


def test_packets_are_sent_arrive_and_are_lost() -> None:
    queue = np.unravel_index(TASK.next_state[state(8, EVENING), 0], DIMS)[0]
    arrivals = np.repeat(np.arange(11), 2)
    assert queue.tolist() == np.minimum(8 - 3 + arrivals, 8).tolist()
    lost = np.maximum(8 - 3 + arrivals - 8, 0)
    np.testing.assert_allclose(TASK.reward[state(8, EVENING), 0], -1.0 - 1.5 - 2.0 * lost)
    asleep = np.unravel_index(TASK.next_state[state(8, EVENING, mode=2), 2], DIMS)[0]
    assert set(asleep.tolist()) == {8}


def test_traffic_follows_the_time_of_day() -> None:
    chance = TASK.probability[state(0, EVENING), 0].reshape(11, 2)
    phase = np.unravel_index(TASK.next_state[state(0, EVENING), 0], DIMS)[1].reshape(11, 2)
    assert set(phase[:, 0].tolist()) == {EVENING}
    assert set(phase[:, 1].tolist()) == {NIGHT}
    np.testing.assert_allclose(chance.sum(axis=0), [0.97, 0.03])
    poisson = [exp(-2.2) * 2.2**k / factorial(k) for k in range(11)]
    np.testing.assert_allclose(chance.sum(axis=1), np.array(poisson) / sum(poisson))


def test_the_environment_shows_four_dimensions() -> None:
    env = CellSleepEnv()
    assert env.observation_space == gymnasium.spaces.MultiDiscrete([9, 4, 3, 3])
    assert env.task is TASK
    assert isinstance(TASK.make_env(), CellSleepEnv)
