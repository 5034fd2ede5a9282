"""GARNET(n, a, b): random Markov decision processes of n states, a actions and b successors of each cell.

T. W. Archibald, K. I. M. McKinnon and L. C. Thomas, "On the generation of Markov decision processes", Journal of the
Operational Research Society 46 (1995).
"""

from __future__ import annotations

import numpy as np

from qorum.errors import ConfigError
from qorum.lab.tasks.task import Task, continuing

TIME_LIMIT = 200


def garnet(states: int, actions: int, branches: int, seed: int = 0) -> Task:
    """The task `GARNET(states,actions,branches)#seed`, gamma 0.95.

    Each cell leads to `branches` different states drawn uniformly, with the probabilities into which as many random
    cuts divide 1, and gives a fixed reward drawn uniformly from [0, 1). Episodes begin in any state, all alike, and are
    truncated after 200 steps.

    Raises:
        ConfigError: not 1 <= branches <= states, or fewer than 2 actions.
    """
    name = f"GARNET({states},{actions},{branches})#{seed}"
    if not 1 <= branches <= states:
        raise ConfigError(f"{name}: branches is {branches}, allowed is 1..{states}, the number of states")
    if actions < 2:
        raise ConfigError(f"{name}: actions is {actions}; with fewer than 2 there is nothing to learn")
    rng, cells = np.random.default_rng(seed), (states, actions)
    successors = [rng.choice(states, branches, replace=False) for _ in range(states * actions)]
    cuts = np.sort(rng.random((*cells, branches - 1)), axis=2)
    probability = np.diff(cuts, axis=2, prepend=0.0, append=1.0)
    next_state = np.reshape(successors, (*cells, branches))
    return continuing(name, probability, next_state, rng.random((*cells, 1)), time_limit=TIME_LIMIT)
