"""How many merges it takes until a fleet has made of its samples what can be made of them.

A merge is one Bellman backup, so the number grows with the horizon 1 / (1 - gamma): no fewer than that many merges can
do where every agent is to help (Salgia and Chi, "The Sample-Communication Complexity Trade-off in Federated
Q-Learning", NeurIPS 2024).
"""

from __future__ import annotations

import numpy as np

from qorum.lab.methods.method import Setting
from qorum.lab.methods.replay import Replay
from qorum.lab.tasks import Task, Walkers

SETTLED = 0.01
"""A table has settled when no value is further than this from what the samples imply, relative to max |Q*|."""


def merges_to_settle(task: Task, agents: int, steps: int, seed: int, most: int = 10_000) -> int:
    """Merges of `replay` after `steps` random steps of each agent, from a table of zeros; never more than `most`."""
    rng = np.random.default_rng([seed, agents])
    walkers, fleet = Walkers(task, agents, rng), Replay(Setting(task, agents, sync_every=steps))
    for _ in range(steps):
        actions = rng.integers(task.n_actions, size=agents)
        taken = walkers.step(actions)
        fleet.learn(taken.state * task.n_actions + actions, taken)
    fleet.sync()
    implied, within = fleet.same_samples(), SETTLED * np.abs(task.optimal_q).max()
    merges = 1
    while np.abs(fleet.learned[0] - implied).max() > within and merges < most:
        fleet.sync()
        merges += 1
    return merges
