"""`Rollout`: an agent living in a Gymnasium environment, step by step, at a steady pace of virtual time."""

from __future__ import annotations

from typing import Any

from qorum.agent import QAgent


class Rollout:
    """Steps an environment with an agent; episodes follow each other."""

    def __init__(
        self, env: Any, agent: QAgent, *, seed: int, steps: int, rate: float = 1.0, start: float = 0.0
    ) -> None:
        """At most `steps` interactions, `rate` of them per virtual second, the first at `start` [s]."""
        self._env, self._agent = env, agent
        self._left, self._rate, self._start = steps, rate, start
        self._steps = steps
        self._obs, _ = env.reset(seed=seed)

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self._left == 0

    def take(self, steps: int) -> None:
        """Take up to `steps` more steps, as far as the allowance goes."""
        agent, env = self._agent, self._env
        for _ in range(min(steps, self._left)):
            action = agent.act(self._obs)
            obs, reward, terminated, truncated, _ = env.step(action)
            agent.learn(self._obs, action, float(reward), obs, terminated, truncated)
            self._obs = env.reset()[0] if terminated or truncated else obs
        self._left -= min(steps, self._left)

    def live_until(self, now: float) -> None:
        """`sim.swarm.Life`: take all steps due by `now` [s]."""
        due = min(int((now - self._start) * self._rate), self._steps)
        self.take(due - (self._steps - self._left))

    def time_of(self, interactions: int) -> float:
        """`sim.swarm.Life`: when the agent will have had that many interactions; infinite beyond its allowance."""
        return self._start + interactions / self._rate if interactions <= self._steps else float("inf")
