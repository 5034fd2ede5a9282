"""Pursuit from PettingZoo: the eight pursuers of one environment are the eight members of a federation.

Pursuers catch an evader of a 16 x 16 city when two of them stand on it. Each sees the 7 x 7 squares around itself and
gets the reward of its own catches. After every 50 steps they agree on one Q-table. Compared on the same seeds:

- chase: a rule by hand: towards the nearest evader in sight, anywhere while there is none;
- alone: each pursuer is a federation of one, beside others that are the same;
- fleet: the pursuers are one federation;
- one table: all act on one table and learn into it at every step, as if they had one memory.

    pip install 'qorum[node,pettingzoo]' && python examples/pettingzoo_fleet.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import comparison
import numpy as np
import pettingzoo

import qorum
from qorum.sim.swarm import Swarm

Team = Mapping[str, Callable[[Any], int]]
"""What each pursuer does, given its observation."""
PURSUERS = [f"pursuer_{number}" for number in range(8)]
LEFT, RIGHT, UP, DOWN, STAY = range(5)
# A step costs 0.1, a catch is worth 5, and having evaders beside a little.
CONFIG = qorum.FederationConfig.of(n_actions=5, gamma=0.9, r_min=-0.1, r_max=6, min_peers_for_consensus=1)


def make_env(cycles: int) -> Any:
    """The city with 30 evaders that move at random, until all are caught or so many steps are over."""
    rules = {"max_cycles": cycles, "surround": False, "n_catch": 2, "shared_reward": False}
    return pettingzoo.make("parallel", "sisl/pursuit-v5", **rules)


def nearest(layer: Any) -> tuple[int, ...]:
    """How far right and up of the centre the nearest square that is not 0 lies in a 7 x 7 layer; () without one."""
    ups, rights = np.nonzero(layer)
    found = [(int(right) - 3, int(up) - 3) for up, right in zip(ups, rights, strict=True)]
    return min(found, key=lambda at: (abs(at[0]) + abs(at[1]), at), default=())


def encode(obs: Any) -> int:
    """The state of the table: where the nearest evader is, or else the walls beside, and which way the nearest mate."""
    walls, mates, evaders = np.moveaxis(obs.astype(int), -1, 0)
    mates[3, 3] -= 1  # itself
    beside = tuple(walls[[3, 3, 2, 4], [2, 4, 3, 3]])
    ways = tuple((way > 0) - (way < 0) for way in nearest(mates))
    return qorum.hash_observation((nearest(evaders) or beside, ways))


def chase(obs: Any, random: Random) -> int:
    """The rule by hand: the way that is farthest to go."""
    right, up = nearest(obs[:, :, 2]) or (random.randint(-1, 1), random.randint(-1, 1))
    return max((right, RIGHT), (-right, LEFT), (up, UP), (-up, DOWN), (0, STAY))[1]


def learn(federations: list[list[qorum.QAgent]], pursuers: list[qorum.QAgent], steps: int, seed: int) -> Team:
    """Let the agents of eight pursuers, in one or more federations, learn in one environment; what they do then."""
    swarms = [Swarm.of(CONFIG, len(agents), seed=seed, agents=dict(enumerate(agents))) for agents in federations]
    env, agents = make_env(500), dict(zip(PURSUERS, pursuers, strict=True))
    obs, _ = env.reset(seed=seed)
    for step in range(1, steps + 1):
        actions = {me: agent.act(obs[me]) for me, agent in agents.items()}
        after, rewards, terminated, truncated, _ = env.step(actions)
        for me, agent in agents.items():
            agent.learn(obs[me], actions[me], rewards[me], after[me], terminated[me], truncated[me])
        obs = after if env.agents else env.reset()[0]
        if step % 50 == 0:
            for swarm in swarms:
                qorum.federated_sync(swarm.tables[0])  # one member opens a round, which all others join
                swarm.run(until=swarm.timeline.now + 1)  # a second later everybody knows how it went
    return {me: agent.greedy for me, agent in agents.items()}


def test(team: Team, episodes: int) -> float:
    """Mean return of a pursuer over episodes of up to 200 steps, the same ones for every method."""
    env, total = make_env(200), 0.0
    for episode in range(episodes):
        observations, _ = env.reset(seed=1_000_000 + episode)
        while env.agents:
            observations, rewards, *_ = env.step({me: policy(observations[me]) for me, policy in team.items()})
            total += sum(rewards.values()) / len(team)
    return total / episodes


def play(seed: int, quick: bool) -> dict[str, list[float]]:
    """The test return of the team, by method."""
    steps, episodes = (250, 1) if quick else (1000, 2)

    def fresh() -> list[qorum.QAgent]:
        return [qorum.QAgent(5, gamma=CONFIG.gamma, encode=encode, seed=100 * seed + me) for me in range(8)]

    alone, fleet, one = fresh(), fresh(), fresh()[:1]
    teams: dict[str, Team] = {
        "chase": {me: partial(chase, random=Random(f"{seed} {me}")) for me in PURSUERS},
        "alone": learn([[agent] for agent in alone], alone, steps, seed),
        "fleet": learn([fleet], fleet, steps, seed),
        "one table": learn([one], one * 8, steps, seed),
    }
    return {method: [test(team, episodes)] for method, team in teams.items()}


if __name__ == "__main__":
    comparison.main(__doc__, "return of a pursuer in up to 200 steps", play, seeds=3)
