"""What a policy is worth, by whichever way it is computed."""

from __future__ import annotations

import numpy as np
import pytest

from qorum.lab.tasks import evaluation, load
from qorum.lab.tasks.evaluation import state_values


@pytest.mark.parametrize("name", ["FrozenLake-v1", "GARNET(30,3,4)", "RiverSwim-6"])
def test_large_tasks_are_valued_as_small_ones_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, rng = load(name), np.random.default_rng(0)
    policies = [rng.dirichlet(np.ones(task.n_actions), task.n_states), np.eye(task.n_actions)[task.optimal_q.argmax(1)]]
    solved = [state_values(task, policy) for policy in policies]
    monkeypatch.setattr(evaluation, "DENSE", 0)
    for policy, values in zip(policies, solved, strict=True):
        assert state_values(task, policy) == pytest.approx(values, rel=1e-9, abs=1e-12)
