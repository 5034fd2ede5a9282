"""How all agents act at once: epsilon-greedy, with a bonus for cells that the fleet knows little of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qorum.errors import ConfigError
from qorum.lab.methods.method import Ints, Method


@dataclass(frozen=True)
class Behaviour:
    """The best action by q + bonus / sqrt(1 + visits), at random among equals, and with `epsilon` any action.

    The bonus is count-based exploration, as in Strehl and Littman, "An analysis of model-based interval estimation for
    Markov decision processes", 2008; the counts are those that a method shares among its agents.

    Raises:
        ConfigError: a number is out of its range.
    """

    epsilon: float = 0.1
    bonus: float = 0.0
    """In units of reward, 0 or more."""

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1 or not 0 <= self.bonus < np.inf:
            raise ConfigError(f"epsilon {self.epsilon}, bonus {self.bonus}: need 0 <= epsilon <= 1, and bonus >= 0")

    def act(self, method: Method, state: Ints, rng: np.random.Generator) -> Ints:
        """i64[K]: an action for every agent, which stands in state i64[K]."""
        who = np.arange(len(state)) if len(method.q) > 1 else 0
        score = method.q[who, state]
        if self.bonus:
            known = method.visits[np.arange(len(state)) if len(method.visits) > 1 else 0, state]
            score = score + self.bonus / np.sqrt(1 + known)
        ties = np.where(score == score.max(axis=1, keepdims=True), rng.random(score.shape), -1.0)
        explores = rng.random(len(state)) < self.epsilon
        return np.where(explores, rng.integers(score.shape[1], size=len(state)), ties.argmax(axis=1))
