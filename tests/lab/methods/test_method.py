"""Settings that make no sense are refused, and every method says what it needs."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.methods import METHODS, Setting
from qorum.lab.tasks import Walkers, load

TASK = load("FrozenLake-v1")


@pytest.mark.parametrize(
    ("agents", "every", "size", "names"),
    [(0, 5, None, "agents is 0"), (1 << 16, 5, None, "agents"), (2, 0, None, "sync_every"), (2, 5, 1.0, "step_size")],
)
def test_a_setting_out_of_range_is_refused(agents: int, every: int, size: float | None, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        Setting(TASK, agents, every, size)


@pytest.mark.parametrize("name", ["isolated", "equal", "visit_weighted", "importance", "implied"])
def test_a_method_without_its_step_size_says_so(name: str) -> None:
    method = METHODS[name](Setting(TASK, 2, 5))
    steps = Walkers(TASK, 2, np.random.default_rng(0)).step(np.zeros(2, dtype=np.int64))
    with pytest.raises(ConfigError, match="needs a step_size"):
        method.learn(steps.state * 4, steps)
