"""An agent's life in an environment."""

from __future__ import annotations

import math

from qorum.agent import QAgent
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import load


def rollout(steps: int, rate: float = 10.0) -> Rollout:
    return Rollout(load("Taxi-v4").make_env(0), QAgent(6, seed=0), seed=0, steps=steps, rate=rate)


def test_it_takes_the_steps_due_by_a_time_and_never_more_than_its_allowance() -> None:
    life = rollout(steps=25)
    life.live_until(1.0)
    assert life._agent.interactions == 10
    life.live_until(1.0)
    assert life._agent.interactions == 10
    life.live_until(100.0)
    assert life._agent.interactions == 25
    assert life.done


def test_it_knows_when_an_interaction_will_have_happened() -> None:
    life = rollout(steps=25)
    assert life.time_of(10) == 1.0
    life.live_until(life.time_of(10))
    assert life._agent.interactions == 10
    assert math.isinf(life.time_of(26))


def test_episodes_follow_each_other() -> None:
    life = rollout(steps=450)
    life.take(450)  # an episode of Taxi ends after 200 steps at the latest
    assert life.done
    assert life._agent.interactions == 450
