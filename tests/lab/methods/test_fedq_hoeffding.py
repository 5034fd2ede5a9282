"""FedQ-Hoeffding, against its update rule written out one visit after the other."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.methods import METHODS, Setting
from qorum.lab.methods.fedq_hoeffding import HORIZON, FedQHoeffding
from qorum.lab.tasks import Walkers, load

FACTOR = 0.3


def test_one_visit_after_the_other() -> None:
    task, agents = load("RiverSwim-6"), 4
    method = FedQHoeffding(Setting(task, agents, HORIZON, FACTOR))
    rng = np.random.default_rng(0)
    walkers = Walkers(method.setting.task, agents, rng)
    table = np.full((HORIZON, 12), float(HORIZON))
    met = np.zeros((HORIZON, 12), dtype=int)
    scale = task.r_max - task.r_min
    for _ in range(6):
        seen: list[tuple[int, int, int, float]] = []
        for step in range(HORIZON):
            actions = rng.integers(2, size=agents)
            steps = walkers.step(actions)
            cells = steps.state * 2 + actions
            rewards = (steps.reward - task.r_min) / scale
            seen += zip([step] * agents, cells.tolist(), steps.next_state.tolist(), rewards.tolist(), strict=True)
            method.learn(cells, steps)
        before = np.vstack([np.minimum(table.reshape(HORIZON, 6, 2).max(axis=2), HORIZON), np.zeros((1, 6))])
        for step, cell, after, reward in seen:
            met[step, cell] += 1
            t = met[step, cell]
            size, bonus = (HORIZON + 1) / (HORIZON + t), FACTOR**2 * np.sqrt(HORIZON**3 / t)
            table[step, cell] = (1 - size) * table[step, cell] + size * (reward + before[step + 1, after] + bonus)
    np.testing.assert_allclose(method.learned[0], table[0].reshape(6, 2) * scale + HORIZON * task.r_min, rtol=1e-9)
    assert method.sync() > 0
    assert method.sync() == 0


def test_it_applies_where_episodes_have_no_end_of_their_own() -> None:
    applies = {name: FedQHoeffding.applies_to(load(name)) for name in ("RiverSwim-6", "GARNET(20,3,3)", "Taxi-v4")}
    assert applies == {"RiverSwim-6": True, "GARNET(20,3,3)": True, "Taxi-v4": False}


def test_an_interval_that_does_not_divide_the_episode_is_refused() -> None:
    with pytest.raises(ConfigError, match="divisor of 20"):
        METHODS["fedq_hoeffding"](Setting(load("RiverSwim-6"), 4, 7, FACTOR))
