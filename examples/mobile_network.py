"""mobile-env: the operators of twelve mobile networks learn together which station is to serve each user.

Every member of the federation runs a network of its own, with three stations and five users that walk about. After
every 25 steps the members agree on one Q-table. Compared on the same networks:

- best signal: the rule of thumb, the station with the highest rate;
- load-aware: a better rule, the highest rate divided by the number of users that would share it;
- alone: each operator is a federation of one;
- fleet: the operators are one federation.

    pip install 'qorum[node,mobile]' && python examples/mobile_network.py
"""

import os
from math import log10
from typing import Any

import comparison
import numpy as np

import qorum
from qorum.sim.swarm import Swarm

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # mobile-env loads pygame, which prints a greeting
from mobile_env.handlers.multi_agent import MComMAHandler
from mobile_env.scenarios.small import MComSmall

Sight = list[tuple[float, int, bool, int]]
"""A user's stations, best first: the rate it could give, how many others it serves, if it serves this one, number."""
STEPS, EVERY = 500, 25
# A choice pays at once and can be taken back in the next step, so there is nothing to plan for: gamma=0.
CONFIG = qorum.FederationConfig.of(n_actions=3, gamma=0, r_min=-1, r_max=1, min_peers_for_consensus=1)


class Operator(MComMAHandler):  # type: ignore[misc]  # mobile-env has no types
    """What is seen of and rewarded for each user: mobile-env's own observations leave out the rates."""

    @classmethod
    def observation(cls, env: Any) -> dict[int, Sight]:
        sights: dict[int, Sight] = {user.ue_id: [] for user in env.active}
        for station in env.stations.values():
            served = env.connections[station]
            for user in env.active:
                rate = float(env.channel.datarate(station, user, env.channel.snr(station, user)))
                sights[user.ue_id].append((rate, len(served - {user}), user in served, station.bs_id))
        return {user: sorted(sight, reverse=True) for user, sight in sights.items()}

    @classmethod
    def reward(cls, env: Any) -> dict[int, float]:
        return {user.ue_id: float(env.utilities[user]) for user in env.active}


def make_env(seed: int) -> Any:
    """A network. mobile-env ignores the seed of reset(): it must be in the configuration, or all networks are alike."""
    return MComSmall(config={"seed": seed, "handler": Operator})


def encode(sight: Sight) -> int:
    """The state of the table: how many times 1.8 worse than the best each station is, up to 3, and if it is busy."""
    seen = [(min(int(4 * log10(sight[0][0] / rate)), 3), others > 0) if rate else () for rate, others, *_ in sight]
    return qorum.hash_observation(seen)


def toggle(sight: Sight, pick: int) -> int:
    """mobile-env's action towards the picked station: number + 1 joins or leaves one; a handover joins, then leaves."""
    rate, _, serves, picked = sight[pick]
    if rate and not serves:
        return picked + 1
    return next((number + 1 for _, _, serves, number in sight if serves and number != picked), 0)


def learn(seeds: list[int]) -> list[qorum.QAgent]:
    """Let operators, one for each seed, take STEPS steps each as a federation."""
    agents = [qorum.QAgent(3, gamma=0, encode=encode, seed=seed) for seed in seeds]
    swarm = Swarm.of(CONFIG, len(agents), seed=seeds[0], agents=dict(enumerate(agents)))
    envs = [make_env(seed) for seed in seeds]
    sights = [env.reset()[0] for env in envs]
    for _ in range(STEPS // EVERY):
        sights = [live(*operator) for operator in zip(envs, agents, sights, strict=True)]
        qorum.federated_sync(swarm.tables[0])  # one member opens a round, which all others join
        swarm.run(until=swarm.timeline.now + 1)  # a second later everybody knows how it went
    return agents


def live(env: Any, agent: qorum.QAgent, sights: dict[int, Sight]) -> Any:
    """Take the steps to the next round, learning from what each user gets; returns the sights to go on from."""
    for _ in range(EVERY):
        picks = {user: agent.act(sight) for user, sight in sights.items()}
        after, rewards, _, over, _ = env.step({user: toggle(sights[user], pick) for user, pick in picks.items()})
        for user, pick in picks.items():
            agent.learn(sights[user], pick, rewards[user], after[user], False, over)
        sights = env.reset()[0] if over else after
    return sights


def test(rule: Any, seed: int) -> float:
    """Mean utility of the users over 100 steps in the network of this seed."""
    env, utilities = make_env(seed), []
    sights, _ = env.reset()
    for _ in range(100):
        sights, rewards, *_ = env.step({user: toggle(sight, rule(sight)) for user, sight in sights.items()})
        utilities += rewards.values()
    return float(np.mean(utilities))


def play(seed: int, quick: bool) -> dict[str, list[float]]:
    """The utility in every network, by method; operators are tested in other networks than they have learned in."""
    seeds = [1000 * seed + me for me in range(3 if quick else 12)]
    methods = {
        "best signal": [lambda sight: 0] * len(seeds),
        "load-aware": [lambda sight: max(range(3), key=lambda i: sight[i][0] / (sight[i][1] + 1))] * len(seeds),
        "alone": [learn([own])[0].greedy for own in seeds],
        "fleet": [agent.greedy for agent in learn(seeds)],
    }
    return {method: [test(rules[me], 10**6 + own) for me, own in enumerate(seeds)] for method, rules in methods.items()}


if __name__ == "__main__":
    comparison.main(__doc__, "utility of a user, -1 (no service) to 1; ten times the rate is worth 0.5", play, seeds=3)
