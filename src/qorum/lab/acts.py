"""The acts of the demonstration. Each gives every agent the same number of steps and returns what there is to tell."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from qorum.agent import QAgent
from qorum.core.effects import Committed
from qorum.core.table import FederatedQTable, agent_for, agreed_tables_identical
from qorum.lab.attacks.extreme_high import extreme_high
from qorum.lab.attacks.sign_flip import sign_flip
from qorum.lab.fleet import Fleet, config_for, mean_value
from qorum.lab.plan import STEPS_PER_ROUND, Plan
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import Task, load
from qorum.merge.pairwise import merge_qtables
from qorum.qtable import QTable
from qorum.sim.liar import liar_with
from qorum.sim.swarm import Swarm

SYNC_INTERVAL_MS = 3_000
SETTLE_S = 20.0
"""Virtual time after the last step for the last round to reach everybody."""
SAMPLE = 16
"""Agents behind a point of a learning curve, and in the isolated act; the others' results take all of them."""
ATTACKS = {"sign_flip": sign_flip, "extreme_high": extreme_high}

Progress = Callable[[str, float], None]
"""Called with an act's name and the share of it that is done."""

Act = Callable[[Plan, Progress], dict[str, Any]]


def acts(plan: Plan) -> dict[str, Act]:
    """Acts by name, the longest first, so that two processes finish together."""
    attacked = {name: _attacked(name) for name in ATTACKS} if plan.liars else {}
    return {**attacked, "partitioned": partitioned, "federated": federated, "naive": naive, "isolated": isolated}


# --- acts without the protocol ---


def isolated(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Every agent is a federation of its own: the same evidence, the same merge, nobody else."""
    task = load(plan.task)
    alone = [
        Fleet(task, config_for(task), 1, steps=plan.steps, seed=plan.seed_of(me))
        for me in range(min(plan.members, SAMPLE))
    ]
    agents = [fleet.residents[0].agent for fleet in alone]
    curve = []
    for steps in _merges(plan):
        for fleet in alone:
            fleet.round(STEPS_PER_ROUND)
        curve.append([steps, mean_value(task, agents)[0]])
        progress("isolated", steps / plan.steps)
    return _result(task, agents, curve)


def naive(plan: Plan, progress: Progress) -> dict[str, Any]:
    """The founding record's merge by gossip: each agent merges the tables of three others into its own, over and over.

    The same visit comes round in other tables and is counted again each time.
    """
    task = load(plan.task)
    config = config_for(task, evidence="q")
    agents = [agent_for(config, plan.seed_of(me)) for me in range(plan.members)]
    lives = [_life(task, plan, me, agent) for me, agent in enumerate(agents)]
    random, curve = Random(plan.seed), []
    claimed = [QTable.empty() for _ in agents]
    seen = [QTable.empty() for _ in agents]
    for steps in _merges(plan):
        for me, life in enumerate(lives):
            life.take(STEPS_PER_ROUND)
            claimed[me], seen[me] = _with_new_visits(agents[me], claimed[me], seen[me])
        told = claimed
        for me, agent in enumerate(agents):
            others = [peer for peer in range(plan.members) if peer != me]
            for peer in random.sample(others, min(config.gossip_fanout, len(others))):
                claimed = [*claimed[:me], merge_qtables(claimed[me], told[peer])[0], *claimed[me + 1 :]]
            agent.adopt(claimed[me])
        curve.append([steps, mean_value(task, agents[:SAMPLE])[0]])
        progress("naive", steps / plan.steps)
    counting = {
        "true_visits": plan.members * plan.steps,
        "claimed_visits": int(np.mean([float(table.visits.sum()) for table in claimed])),
    }
    return {**_result(task, agents, curve), "double_counting": counting}


def _with_new_visits(agent: QAgent, claimed: QTable, seen: QTable) -> tuple[QTable, QTable]:
    """The agent's table with the visits claimed for it so far and those it made since, and its own table now."""
    now = agent.table
    new = now.visits - _visits_in(seen, now)
    total = np.minimum(_visits_in(claimed, now) + new, 2**32 - 1)
    return QTable.from_columns(now.state_hash, now.action, now.value, total), now


def _visits_in(table: QTable, cells: QTable) -> Any:
    at, found = table.lookup(cells.state_hash, cells.action)
    visits = np.zeros(len(cells), dtype=np.int64)
    visits[found] = table.visits[at[found]]
    return visits


def _merges(plan: Plan) -> list[int]:
    """Steps an agent has taken at each merge; the last merge has all of them."""
    return [*range(STEPS_PER_ROUND, plan.steps, STEPS_PER_ROUND), plan.steps]


def _result(task: Task, agents: list[QAgent], curve: list[list[float]]) -> dict[str, Any]:
    mean, worst = mean_value(task, agents)
    return {"normalised_value": mean, "worst_member": worst, "curve": curve}


# --- acts with the full protocol ---


class Staged:
    """A swarm on a task, with what an act reports of it."""

    def __init__(self, plan: Plan, name: str, progress: Progress, attack: str | None = None) -> None:
        self.plan, self.name, self.task = plan, name, load(plan.task)
        self.liars = set(Random(plan.seed).sample(range(plan.members), plan.liars if attack else 0))
        config = config_for(self.task, sync_interval_ms=SYNC_INTERVAL_MS)
        agents = {me: agent_for(config, plan.seed_of(me)) for me in range(plan.members)}
        self.swarm = Swarm.of(
            config, plan.members, seed=plan.seed, agents=agents,
            make_table=lambda me: liar_with(ATTACKS[attack]) if attack and me in self.liars else FederatedQTable,
        )  # fmt: skip
        self.honest = [table for me, table in enumerate(self.swarm.tables) if me not in self.liars]
        self.curve: list[list[float]] = []
        self.excluded: list[list[int]] = []
        self._progress = progress
        self.swarm.on_round = self._on_round
        self.swarm.settle({me: _life(self.task, plan, me, agent) for me, agent in agents.items()})

    @property
    def end(self) -> float:
        """Virtual time of the last step [s]."""
        return self.plan.steps / self.plan.pace

    def _on_round(self, committed: Committed) -> None:
        state, now = committed.state, self.swarm.timeline.now
        excluded = set(np.flatnonzero(state.excluded).tolist())
        self.excluded.append([state.round, len(excluded & self.liars), len(excluded - self.liars)])
        if state.round % 2 == 0:
            agents = [table.agent for table in self.honest[:SAMPLE]]
            steps = float(np.mean([agent.interactions for agent in agents]))
            self.curve.append([round(steps, 1), mean_value(self.task, agents)[0]])
        self._progress(self.name, min(1.0, now / self.end))

    def finish(self) -> dict[str, Any]:
        """Run until every step is taken and every honest member holds the last round, and report."""
        self.swarm.run(self.end)
        self.swarm.run(self.end + SETTLE_S, done=self._settled)
        swarm, rounds = self.swarm, self.honest[0].member.state.round
        per_round = [swarm.network.traffic[table.me].bytes / rounds for table in self.honest]
        first = {a.round: a for a in reversed(swarm.log.agreements)}
        final = self.honest[0].member.state
        return {
            **_result(self.task, [table.agent for table in self.honest], self.curve),
            "agreed_value": self.task.evaluate(final.table, swarm.genesis.config.initial_q),
            "rounds": rounds,
            "terms": sum(a.term + 1 for a in first.values()),
            "agreements": [[round(a.time, 3), a.round, a.term] for a in sorted(first.values(), key=lambda a: a.round)],
            "excluded": self.excluded,
            "distrusted": final.masks.sum(axis=0).tolist(),
            "liar_members": sorted(self.liars),
            "sync_latency_s": _quantiles(swarm.log.latencies),
            "bytes_received_per_member_per_round": {
                "mean": round(float(np.mean(per_round))), "max": round(max(per_round)),
            },
            "agreed_tables_identical": agreed_tables_identical(self.honest),
            "event_hash": swarm.event_hash,
        }  # fmt: skip

    def _settled(self) -> bool:
        """Every life is over, and nobody waits for a round to be agreed."""
        quiet = self.swarm.timeline.now > self.end + 2 * SYNC_INTERVAL_MS / 1000
        return quiet and agreed_tables_identical(self.honest)


def federated(plan: Plan, progress: Progress) -> dict[str, Any]:
    """All members honest, the network whole."""
    return Staged(plan, "federated", progress).finish()


def _attacked(name: str) -> Act:
    return lambda plan, progress: Staged(plan, name, progress, attack=name).finish()


def partitioned(plan: Plan, progress: Progress) -> dict[str, Any]:
    """The network is cut in halves, heals, loses a minority of less than a third, and heals again.

    Halves: no side has a quorum, so nobody agrees on anything and all learn on. Then the larger side has one and goes
    on, and the smaller side catches up when it comes back.
    """
    staged = Staged(plan, "partitioned", progress)
    everybody, length = range(plan.members), staged.end / 6
    cuts = []
    for start, cut in ((1 * length, plan.members // 2), (3 * length, staged.swarm.genesis.quorum.tolerated)):
        staged.swarm.run(start)
        staged.swarm.network.partition(everybody[:cut], everybody[cut:])
        staged.swarm.run(start + length)
        staged.swarm.network.heal()
        cuts.append({"from_s": start, "to_s": start + length, "sides": [cut, plan.members - cut]})
    return {**staged.finish(), "partitions": cuts}


def _quantiles(seconds: list[float]) -> dict[str, float]:
    p50, p99, highest = np.quantile(seconds or [0.0], [0.5, 0.99, 1.0]).tolist()
    return {"p50": round(p50, 3), "p99": round(p99, 3), "max": round(highest, 3)}


def _life(task: Task, plan: Plan, me: int, agent: QAgent) -> Rollout:
    seed = plan.seed_of(me)
    return Rollout(task.make_env(seed), agent, seed=seed, steps=plan.steps, rate=plan.pace)
