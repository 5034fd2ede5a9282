"""CartPole-v1: sixteen agents learn to balance a pole together, in 600 steps each.

Every agent has a cart of its own and learns from its own steps only. After every 50 steps the fleet agrees on one
Q-table, which all act on from then on. Compared on the same seeds, with the same evidence and the same merge:

- alone: each agent is a federation of one, so nobody tells it anything;
- fleet: the agents are one federation;
- one, all steps: one agent takes the steps of all of them, one after the other.

    pip install 'qorum[node,gym]' && python examples/cartpole.py
"""

from __future__ import annotations

from typing import Any

import comparison
import gymnasium as gym
import numpy as np

import qorum
from qorum.sim.swarm import Swarm

MEMBERS, STEPS, EVERY = 16, 600, 50
# Bins make states of four real numbers. The cart's place has one, so it is not looked at: fewer states are learned
# sooner, though now and then a cart then rolls off the track with its pole upright. Then come the edges of the bins of
# the cart's velocity, of the pole's angle [rad] and of the pole's angular velocity.
BINS = [1, np.linspace(-2, 2, 4), np.linspace(-0.21, 0.21, 7), np.linspace(-2, 2, 6)]
GAMMA = 0.99
# A step gives a reward of 1, so no cell is worth more than this. Believing it of what nobody has tried yet sends agents
# there, and what one of them has tried the others need not.
OPTIMISTIC = 1 / (1 - GAMMA)
# An agent alone is a federation too, of one, if that is enough for it to agree on anything.
CONFIG = qorum.FederationConfig.of(
    n_actions=2, gamma=GAMMA, initial_q=OPTIMISTIC, r_min=0, r_max=1, min_peers_for_consensus=1
)


def learn(seeds: list[int], steps: int) -> list[qorum.QAgent]:
    """Let agents, one for each seed, take `steps` steps each as a federation."""
    envs = [gym.make("CartPole-v1") for _ in seeds]
    encode = qorum.encoder_for(envs[0].observation_space, BINS)
    agents = [
        qorum.QAgent(2, gamma=GAMMA, initial_q=OPTIMISTIC, epsilon=0.3, encode=encode, seed=seed) for seed in seeds
    ]
    swarm = Swarm.of(CONFIG, len(agents), seed=seeds[0], agents=dict(enumerate(agents)))
    observations = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
    for _ in range(steps // EVERY):
        for me, env in enumerate(envs):
            observations[me] = live(env, agents[me], observations[me])
        qorum.federated_sync(swarm.tables[0])  # one member opens a round, which all others join
        swarm.run(until=swarm.timeline.now + 1)  # a second later everybody knows how it went
    return agents


def live(env: Any, agent: qorum.QAgent, obs: Any) -> Any:
    """Take the steps from one round to the next, learning from each; returns the observation to go on from."""
    for _ in range(EVERY):
        action = agent.act(obs)
        after, reward, terminated, truncated, _ = env.step(action)
        agent.learn(obs, action, reward, after, terminated, truncated)
        obs = env.reset()[0] if terminated or truncated else after
    return obs


def test(agent: qorum.QAgent, episodes: int) -> float:
    """Mean return of greedy episodes, the same ones for everybody; 500 is the most there is."""
    env, total = gym.make("CartPole-v1"), 0
    for episode in range(episodes):
        obs, over = env.reset(seed=1_000_000 + episode)[0], False
        while not over:
            obs, _, terminated, truncated, _ = env.step(agent.greedy(obs))
            total, over = total + 1, terminated or truncated
    return total / episodes


def play(seed: int, quick: bool) -> dict[str, list[float]]:
    """The test return of every agent, by method."""
    members, episodes = (8, 2) if quick else (MEMBERS, 5)
    seeds = [1000 * seed + me for me in range(members)]
    methods = {
        "alone": [learn([own], STEPS)[0] for own in seeds],
        "fleet": learn(seeds, STEPS),
        "one, all steps": learn(seeds[:1], members * STEPS),
    }
    return {method: [test(agent, episodes) for agent in agents] for method, agents in methods.items()}


if __name__ == "__main__":
    comparison.main(__doc__, f"return of greedy episodes after {STEPS} steps an agent", play, seeds=10)
