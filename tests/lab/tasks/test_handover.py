"""The handover problem, against figures of an independent implementation of the same model."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from qorum.lab.tasks.handover import DIMS, HandoverEnv, a3, handover

TASK = handover()
A3_VALUES = {
    0: 9.102803668616946, 1: 8.83730018501875, 2: 8.676479306620294, 3: 7.692445304772605, 4: 7.1531387446191035,
    6: 5.5641875202810915, 8: 3.5457437561883864,
}  # fmt: skip
"""Hysteresis [dB] -> value."""


def state(**dimensions: int) -> int:
    """The number of a state: midway, towards cell 1, slow, served by cell 0, nothing else, but for..."""
    usual = {"position": 8, "direction": 0, "speed": 0, "serving": 0, "shadowing": 3, "interruption": 0}
    return int(np.ravel_multi_index(tuple((usual | dimensions).values()), DIMS))


def reached(*cell: int) -> set[tuple[int, ...]]:
    """Observations that may follow a cell, without shadowing."""
    after = np.stack(np.unravel_index(TASK.next_state[cell], DIMS), axis=1)
    return {(*row[:4], row[5]) for row in after.tolist()}


def test_values_of_the_reference() -> None:
    assert (TASK.n_states, TASK.n_actions) == (1792, 2)
    assert np.abs(TASK.optimal_q).max() == pytest.approx(15.711112332560646, abs=1e-9)
    assert TASK.optimum == pytest.approx(11.128927981016599, abs=1e-9)
    assert TASK.start @ TASK.optimal_q.max(axis=1) == pytest.approx(11.128927981016599, abs=1e-9)
    assert TASK.policy_value(np.full((1792, 2), 0.5)) == pytest.approx(-20.351965320237344, abs=1e-9)
    assert TASK.policy_value(np.zeros(1792, int)) == pytest.approx(-20.268602768358306, abs=1e-9)


@pytest.mark.parametrize("hysteresis", A3_VALUES)
def test_the_usual_rule_is_worth_what_the_reference_says(hysteresis: int) -> None:
    assert TASK.policy_value(a3(hysteresis)) == pytest.approx(A3_VALUES[hysteresis], abs=1e-9)


def test_the_start_is_any_state_and_everything_can_be_reached() -> None:
    assert (TASK.start == 1 / 1792).all()
    assert TASK.reachable.all()
    assert not TASK.terminated.any()
    assert (TASK.gamma, TASK.time_limit) == (0.95, 200)


def test_a_terminal_moves_by_its_speed_and_may_turn_or_change_it() -> None:
    assert reached(state(), 0) == {(9, 0, 0, 0, 0), (9, 0, 1, 0, 0), (9, 1, 0, 0, 0), (9, 1, 1, 0, 0)}
    assert {row[0] for row in reached(state(speed=1, direction=1), 0)} == {6}
    # At the end of the road it turns for sure.
    assert {row[:2] for row in reached(state(position=15), 0)} == {(15, 1)}
    assert {row[:2] for row in reached(state(position=1, speed=1, direction=1), 0)} == {(0, 0)}


def test_a_handover_changes_the_cell_and_interrupts_for_a_step() -> None:
    assert {row[3:] for row in reached(state(), 1)} == {(1, 1)}
    # While interrupted, the action makes no difference.
    assert {row[3:] for row in reached(state(interruption=1), 1)} == {(0, 0)}
    assert TASK.expected_reward[state(interruption=1)].tolist() == [0.0, 0.0]
    stay, change = TASK.expected_reward[state()]
    assert stay - change == pytest.approx(1.0)


def test_signals_fall_with_distance_and_shadowing_tilts_them() -> None:
    near, far = (TASK.expected_reward[state(position=at), 0] for at in (0, 15))
    assert near == pytest.approx(1.0, abs=1e-6)  # full rate, no failure
    assert far < -3.9  # beside the other station the link fails nearly always
    tilted = [TASK.expected_reward[state(shadowing=level), 0] for level in range(7)]
    assert tilted == sorted(tilted)
    mirror = state(position=7, direction=1, serving=1)
    np.testing.assert_allclose(TASK.expected_reward[mirror], TASK.expected_reward[state()])


def test_the_environment_shows_six_dimensions() -> None:
    env = HandoverEnv()
    assert env.observation_space == gymnasium.spaces.MultiDiscrete([16, 2, 2, 2, 7, 2])
    assert env.task is TASK
    assert isinstance(TASK.make_env(), HandoverEnv)
    assert {tuple(env.reset(seed=seed)[0].tolist()) for seed in range(5)} != {tuple(env.reset(seed=0)[0].tolist())}
