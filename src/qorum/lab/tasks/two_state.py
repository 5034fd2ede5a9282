"""The two-state problem on which J. Woo, G. Joshi and Y. Chi measure federated Q-learning.

"The Blessing of Heterogeneity in Federated Q-Learning: Linear Speedup and Beyond", ICML 2023 (arXiv 2305.10697).
"""

from __future__ import annotations

import numpy as np

from qorum.errors import ConfigError
from qorum.lab.tasks.task import Task, continuing

GAMMA = 0.9


def two_state(actions: int, seed: int = 0) -> Task:
    """The task `TwoState(actions)#seed`, gamma 0.9 as published.

    Every action changes the state with a probability of its own, drawn uniformly from [0.4, 0.6] for each state. State
    1 gives reward 1, whatever is done there. It begins in either state, both alike, and goes on for ever.

    Raises:
        ConfigError: fewer than 2 actions.
    """
    name = f"TwoState({actions})#{seed}"
    if actions < 2:
        raise ConfigError(f"{name}: actions is {actions}; with fewer than 2 there is nothing to learn")
    leave = np.random.default_rng(seed).uniform(0.4, 0.6, (2, actions))
    probability = np.stack([1 - leave, leave], axis=2)
    next_state = np.array([[0, 1], [1, 0]])[:, None]
    reward = np.array([0.0, 1.0])[:, None, None]
    return continuing(name, probability, next_state, reward, gamma=GAMMA)
