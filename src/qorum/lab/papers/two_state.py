"""The two-state problem of Woo, Joshi and Chi: many runs side by side.

There are two states and m actions. Action a taken in state s leaves s with a probability of its own, drawn uniformly
from [0.4, 0.6]; whatever is done in state 1 gives reward 1, in state 0 nothing; gamma is 0.9. Agent k of K always takes
action k mod m, so every agent sees one action only. All tables of a run start from the same one, drawn uniformly from
[0, 1 / (1 - gamma)].

J. Woo, G. Joshi, Y. Chi, "The Blessing of Heterogeneity in Federated Q-Learning: Linear Speedup and Beyond", ICML 2023,
arXiv 2305.10697.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qorum.errors import ConfigError

GAMMA = 0.9
ACTIONS = 20
SWEEPS = 400  # of value iteration: 0.9^400 is beyond the precision of a float

Floats = NDArray[np.float64]
Path = NDArray[np.int8]
"""i8[steps + 1, B, K]: the state of every agent in every run, before the first step and after each."""


class Walks:
    """B runs of K agents: their problems, and where the agents go, whatever anybody learns."""

    def __init__(self, runs: int, agents: int, seed: int, actions: int = ACTIONS) -> None:
        """Raises ConfigError if the agents are no multiple of the actions: some would be tried more than others."""
        if min(runs, agents) < 1 or actions < 2 or agents % actions:
            raise ConfigError(
                f"{runs} runs of {agents} agents with {actions} actions: need 1 run or more, 2 actions or more, and as "
                "many agents for each action"
            )
        self.runs, self.agents, self.actions = runs, agents, actions
        self._rng = np.random.default_rng(seed)
        self.leave = self._rng.uniform(0.4, 0.6, (2, runs, actions))
        """f64[2, B, m], probability of leaving a state by an action."""
        self.start = self._rng.uniform(0, 1 / (1 - GAMMA), (2, runs, actions))
        """f64[2, B, m], the table that everybody starts from."""
        self.optimum = _optimum(self.leave)
        """f64[2, B, m], Q*."""
        self._state = self._rng.integers(0, 2, (runs, agents), dtype=np.int8)

    def walk(self, steps: int) -> Path:
        """Where the agents are now, and after each of the next `steps` steps."""
        leave = np.tile(self.leave, self.agents // self.actions)
        path = np.empty((steps + 1, self.runs, self.agents), dtype=np.int8)
        path[0] = self._state
        for now in range(steps):
            leaves = self._rng.random(self._state.shape) < np.where(path[now], leave[1], leave[0])
            path[now + 1] = path[now] ^ leaves
        self._state = path[-1]
        return path

    def errors(self, tables: Floats) -> Floats:
        """f64[L, 2, B, m] -> f64[L, B]: (1 - gamma) * the largest distance to Q*."""
        return np.asarray((1 - GAMMA) * np.abs(tables - self.optimum).max(axis=(1, 3)))


def _optimum(leave: Floats) -> Floats:
    best = np.zeros_like(leave)
    reward = np.array([0.0, 1.0])[:, None, None]
    for _ in range(SWEEPS):
        value = best.max(axis=2, keepdims=True)
        best = reward + GAMMA * ((1 - leave) * value + leave * value[::-1])
    return best
