"""How all agents act at once."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.methods import METHODS, Setting
from qorum.lab.methods.behaviour import Behaviour
from qorum.lab.tasks import load

TASK = load("FrozenLake-v1")
MANY = 4_000


def _shares(behaviour: Behaviour, q: list[float], visits: list[int]) -> np.ndarray:
    method = METHODS["replay"](Setting(TASK, MANY, 5))
    method.q[0, 3], method.visits[0, 3] = q, visits
    actions = behaviour.act(method, np.full(MANY, 3), np.random.default_rng(0))
    return np.bincount(actions, minlength=4) / MANY


def test_greedy_takes_the_best_and_draws_among_equals() -> None:
    shares = _shares(Behaviour(epsilon=0), [0, 2, 2, 1], [0] * 4)
    assert shares[[0, 3]].tolist() == [0, 0]
    assert shares[1] == pytest.approx(0.5, abs=0.03)


def test_epsilon_is_the_share_of_random_actions() -> None:
    shares = _shares(Behaviour(epsilon=0.4), [0, 2, 1, 1], [0] * 4)
    assert shares == pytest.approx([0.1, 0.7, 0.1, 0.1], abs=0.03)


def test_the_bonus_sends_agents_where_the_fleet_has_rarely_been() -> None:
    assert _shares(Behaviour(0, bonus=3), [1, 0, 0, 0], [99, 1, 99, 99])[1] == 1
    assert _shares(Behaviour(0, bonus=3), [1, 0, 0, 0], [99, 24, 99, 99])[0] == 1


@pytest.mark.parametrize("wrong", [{"epsilon": 1.5}, {"bonus": -1.0}, {"bonus": float("nan")}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="epsilon"):
        Behaviour(**wrong)
