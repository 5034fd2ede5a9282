"""What is read from Gymnasium."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from qorum.lab.tasks.toy_text import TOY_TEXT, toy_text


@pytest.mark.parametrize("name", TOY_TEXT)
def test_the_task_is_that_of_the_real_environment(name: str) -> None:
    task, env = toy_text(name), toy_text(name).make_env(seed=3)
    assert (task.name, task.gamma) == (name, 0.95)
    assert env.observation_space == gymnasium.spaces.Discrete(task.n_states)
    assert env.action_space == gymnasium.spaces.Discrete(task.n_actions)
    assert env.spec is not None
    assert task.time_limit == env.spec.max_episode_steps
    for state, actions in env.unwrapped.P.items():  # type: ignore[attr-defined]
        for action, outcomes in actions.items():
            cell = state, action
            columns = (task.probability, task.next_state, task.reward, task.terminated)
            ours = np.array([column[cell] for column in columns]).T[: len(outcomes)]
            np.testing.assert_array_equal(ours, outcomes)
