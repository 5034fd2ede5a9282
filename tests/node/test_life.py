"""Agents that live inside a node."""

from __future__ import annotations

import asyncio

import pytest

from qorum.agent import QAgent
from qorum.errors import ConfigError
from qorum.node.life import GRID, Grid, Life, make_env
from tests.node.builders import Neighbours, until


def test_the_grid_can_be_learned() -> None:
    env, agent = Grid(4), QAgent(4, epsilon=0.2, seed=3)
    obs, _ = env.reset()
    for _ in range(4_000):
        action = agent.act(obs)
        after, reward, terminated, truncated, _ = env.step(action)
        agent.learn(obs, action, reward, after, terminated, truncated)
        obs = env.reset()[0] if terminated or truncated else after
    obs, _ = env.reset()
    for _ in range(6):
        obs, reward, terminated, _, _ = env.step(agent.greedy(obs))
    assert (terminated, reward, obs) == (True, 1.0, 15)


def test_walls_hold_and_episodes_end() -> None:
    env = Grid(2)
    assert [env.step(action)[0] for action in (0, 3, 1, 1, 0)] == [0, 0, 2, 2, 2]
    cut = [env.step(0)[3] for _ in range(11)]
    assert (cut[-1], sum(cut)) == (True, 1)


def test_an_unknown_task_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no task 'Nowhere-v0'"):
        make_env("Nowhere-v0")


@pytest.mark.parametrize("task", [GRID, "FrozenLake-v1"])
def test_members_whose_agents_live_agree_until_they_end(task: str) -> None:
    async def scene() -> None:
        four = Neighbours(4)
        living = [asyncio.create_task(Life(host, task, 200, seed=host.me).run()) for host in four.hosts.values()]
        try:
            await until(lambda: min(host.member.state.round for host in four.hosts.values()) >= 3, "three rounds")
            four.crash(0)
            await asyncio.wait_for(living[0], 5)
            assert four.notes.blames == []
        finally:
            for life in living:
                life.cancel()
            await asyncio.gather(*living, return_exceptions=True)
            four.end()

    asyncio.run(asyncio.wait_for(scene(), 30))
