"""`Fleet`: learning alone. Members state evidence, one cut takes all of it, everybody sees the outcome at once.

The same author, merge and view as in the full protocol, without signatures, messages or time: what a perfect network
would give, and much faster to run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core.author import Author
from qorum.core.columns import Columns
from qorum.core.genesis import Genesis
from qorum.core.messages import Contribution, Item
from qorum.core.state import Entry, State
from qorum.core.table import agent_for
from qorum.core.view import personal_view
from qorum.evidence import Evidence
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import Task
from qorum.sim.liar import Attack


class Resident(NamedTuple):
    """One member with its life and its pen."""

    agent: QAgent
    rollout: Rollout
    author: Author


class Fleet:
    """Agents on one task that agree on a table every `sync_every` steps."""

    def __init__(
        self,
        task: Task,
        config: FederationConfig,
        members: int,
        *,
        steps: int,
        seed: int,
        attacks: Mapping[int, Attack] | None = None,
        bonus: float = 0.0,
    ) -> None:
        """steps: of each agent in all. attacks: of those members that lie. bonus: of `QAgent`."""
        keys = tuple(hashlib.sha256(b"%d" % member).digest() for member in range(members))
        self.genesis = Genesis(keys, config)
        self.state = State.initial(self.genesis)
        self._attacks, self._bonus = attacks or {}, bonus
        self.residents = [self._resident(task, me, steps, seed) for me in range(members)]

    def _resident(self, task: Task, me: int, steps: int, seed: int) -> Resident:
        config, own_seed = self.genesis.config, seed * len(self.genesis.public_keys) + me
        agent = agent_for(config, own_seed, bonus=self._bonus)
        rollout = Rollout(task.make_env(own_seed), agent, seed=own_seed, steps=steps)
        return Resident(agent, rollout, Author(self.genesis, me))

    def round(self, steps: int) -> None:
        """Everybody takes `steps` steps, states its evidence, and acts on the merged table from then on."""
        for resident in self.residents:
            resident.rollout.take(steps)
        self.state = self.state.apply([self._entry(me) for me in range(len(self.residents))])
        for me, resident in enumerate(self.residents):
            if me not in self._attacks:
                resident.author.accuse(self.state.accusations(me, steady=resident.agent.steady))
            evidence = resident.agent.evidence(self.state.table)
            resident.agent.adopt(personal_view(self.state, evidence))

    def _entry(self, me: int) -> Entry:
        agent, _, author = self.residents[me]
        attack = self._attacks.get(me, _honest)
        return entry_of(self.state, me, author.write(attack(agent.evidence(self.state.table)), self.state))


def entry_of(state: State, me: int, columns: Columns) -> Entry:
    """The next contribution of member `me`, for `State.apply`: in its stream, but signed by nobody."""
    head = state.heads[me]
    body = Contribution(me, head.incarnation, head.seq + 1, head.hash, state.round, b"")
    name = hashlib.sha256(b"%d %d" % (me, head.seq + 1)).digest()
    return Entry(Item(b"", bytes(64)), name, body, columns)


def config_for(task: Task, **fields: Any) -> FederationConfig:
    """The federation configuration that a task asks for."""
    return FederationConfig.of(n_actions=task.n_actions, gamma=task.gamma, r_min=task.r_min, r_max=task.r_max, **fields)


def mean_value(task: Task, agents: list[QAgent]) -> tuple[float, float]:
    """Mean and lowest normalised value of the greedy policies of what agents act on."""
    values = [task.evaluate(agent.table, agent.initial_q) for agent in agents]
    return float(np.mean(values)), float(min(values))


def _honest(evidence: Evidence) -> Evidence:
    return evidence
