"""The Gymnasium environment of any task."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from qorum.encoding import encoder_for, hash_observation
from qorum.errors import ConfigError, MissingExtra
from qorum.lab.tasks import KNOWN, from_transitions, load
from qorum.lab.tasks.toy_text import TOY_TEXT

OWN = [name for name in KNOWN if name not in TOY_TEXT]
TASKS = {name: load(name) for name in KNOWN}


@pytest.mark.parametrize("name", OWN)
def test_gymnasium_finds_no_fault(name: str) -> None:
    check_env(TASKS[name].make_env().unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", KNOWN)
def test_an_agent_sees_the_states_that_the_task_counts(name: str) -> None:
    task = TASKS[name]
    env = task.make_env(seed=1)
    encode, state_of = encoder_for(env.observation_space), {h: s for s, h in enumerate(task.state_hashes().tolist())}
    obs, rng = env.reset()[0], np.random.default_rng(2)
    for _ in range(300):
        state, action = state_of[hash_observation(obs)], int(rng.integers(task.n_actions))
        obs, reward, terminated, truncated, _ = env.step(action)
        assert encode(obs) == hash_observation(obs)
        same = (
            (task.next_state[state, action] == state_of[hash_observation(obs)])
            & (task.reward[state, action] == reward)
            & (task.terminated[state, action] == terminated)
        )
        assert (same & (task.probability[state, action] > 0)).any()
        if terminated or truncated:
            obs = env.reset()[0]


@pytest.mark.parametrize("name", KNOWN)
def test_environments_of_one_seed_are_alike_and_others_are_not(name: str) -> None:
    def life(seed: int) -> list[object]:
        env = TASKS[name].make_env(seed)
        seen = [np.asarray(env.reset()[0]).tolist()]
        for step in range(60):
            obs, *rest, _ = env.step(step % TASKS[name].n_actions)
            seen.append([np.asarray(obs).tolist(), *rest])
            if rest[1] or rest[2]:
                seen.append(np.asarray(env.reset()[0]).tolist())
        return seen

    assert life(3) == life(3)
    if name not in {"FrozenLake-v1-deterministic", "CliffWalking-v1"}:  # where nothing is random
        assert life(3) != life(4)


def test_an_episode_is_truncated_at_the_time_limit() -> None:
    env = TASKS["GARNET(100,4,5)"].make_env(seed=1)
    cut = [env.step(0)[3] for _ in range(200)]
    assert cut == [False] * 199 + [True]
    env.reset()
    assert env.step(0)[3] is False


def test_misuse_is_named() -> None:
    env = TASKS["GARNET(100,4,5)"].make_env(seed=1)
    for action in (4, -1, 1.0, None):
        with pytest.raises(ConfigError, match=r"none of 0\.\.3 of GARNET"):
            env.step(action)
    with pytest.raises(gymnasium.error.ResetNeeded):
        type(env)(TASKS["GARNET(100,4,5)"]).step(0)


def test_a_task_of_ones_own_has_an_environment() -> None:
    moves = {0: {0: [(1.0, 0, 1.5, False)], 1: [(1.0, 0, 0.0, True)]}}
    env = from_transitions("own", moves, np.ones(1)).make_env(seed=1)
    assert env.step(0) == (0, 1.5, False, False, {})
    assert env.step(1) == (0, 0.0, True, False, {})


@pytest.mark.parametrize("name", ["Taxi-v4", "Handover", "CellSleep", "TwoState(2)"])
def test_without_gymnasium_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("extra", "table_env", "handover", "cell_sleep"):
        monkeypatch.delitem(sys.modules, f"qorum.lab.tasks.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtra, match=r"qorum\[gym\]"):
        load(name).make_env()
