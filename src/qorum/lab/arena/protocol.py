"""`ProtocolBout`: a bout with full rounds and gossip, and how its outcome compares with the arena's direct merge."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import qorum
from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core import wire
from qorum.core.effects import Committed
from qorum.core.genesis import Genesis
from qorum.core.messages import Value
from qorum.core.state import Entry, State
from qorum.core.table import FederatedQTable, agreed_tables_identical
from qorum.errors import ConfigError
from qorum.identity import Identity, verify
from qorum.lab.arena.bout import BONUS, EPSILON, QORUM, Bout
from qorum.lab.arena.colluders import Colluders
from qorum.lab.arena.company import Liars
from qorum.lab.arena.direct import Direct
from qorum.lab.arena.grid import THIRD, WORST, Grid
from qorum.lab.bench import machine
from qorum.lab.fleet import config_for
from qorum.lab.journal import Journal, Record
from qorum.lab.methods.method import Setting
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import Task
from qorum.lab.workers import run_all
from qorum.sim.keys import keys_of
from qorum.sim.network import Links
from qorum.sim.swarm import Swarm

Progress = Callable[[str, float], None]
STAGES = ("direct merge", "protocol")

INTERVAL_S = 2.0
"""Virtual time in which an agent takes `sync_every` steps: a little more than a round takes, so that there is one."""
LAST_S = 20.0
"""Virtual time after the last step for the last round to reach everybody, at most."""
QUIET_S = 2.0
"""Virtual time after the last step in which somebody may still open a round."""


@dataclass(frozen=True)
class ProtocolBout(Bout):
    """The same bout in a whole federation: real members with real keys, gossip, votes and rounds, in virtual time.

    Raises:
        ConfigError: as `Bout` does, for any other rule than qorum's, or a part of it left out.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule != QORUM or self.part:
            raise ConfigError(f"rule {self.rule!r}, part {self.part!r}: a federation has the rule {QORUM!r}, all of it")

    def run(self) -> dict[str, Any]:
        """Live it; JSON-able: the bout, and what came of it.

        `differences` counts the rounds in which a part of the state was not what `Direct` merged from the same
        contributions; `agreements` are commits of honest members, `forks` those of another state than the recorded
        contributions lead to. Bytes are what an honest member received, per round. Members that are evicted, because
        they signed two contributions for one slot, count as excluded.
        """
        started, federation = time.perf_counter(), Federation(self)
        federation.live()
        return {**asdict(self), **federation.outcome(), "wall_s": round(time.perf_counter() - started, 2)}

    def cast(self) -> tuple[Task, Liars]:
        """The task, and who lies how: the same as in `Bout.run`."""
        rng = np.random.default_rng([self.seed, self.members, 1])
        return self._task(), Liars(self._who_lies(), self._attack(), rng)


class Federation:
    """The swarm of a bout, and whoever watches it."""

    def __init__(self, bout: ProtocolBout) -> None:
        self._bout = bout
        self._task, liars = bout.cast()
        self._liars = set(liars.members.tolist())
        self._end = bout.steps / bout.sync_every * INTERVAL_S
        config = federation_config(self._task, bout.sync_every)
        identities = [Identity.from_seed(_seed(bout, me)) for me in range(bout.members)]
        genesis = Genesis(tuple(identity.public_key for identity in identities), config)
        colluders = Colluders(self._task, liars, identities, bout.accusing)
        agents = {me: self._agent(config, me) for me in range(bout.members)}
        self.swarm = Swarm(
            genesis, keys_of(identities.__getitem__, bout.members), bout.seed, Links(),
            lambda me: colluders.table if me in self._liars else FederatedQTable, agents,
        )  # fmt: skip
        colluders.watch(self.swarm)
        self.honest = [table for me, table in enumerate(self.swarm.tables) if me not in self._liars]
        self.auditor = Auditor(genesis, Setting(self._task, bout.members, bout.sync_every))
        self.swarm.on_round = self.auditor.check
        self.swarm.settle({me: self._life(me, agent) for me, agent in agents.items()})

    def _agent(self, config: FederationConfig, me: int) -> QAgent:
        bonus = BONUS * (self._task.r_max - self._task.r_min)
        return QAgent(
            config.n_actions, gamma=config.gamma, epsilon=EPSILON, bonus=bonus, seed=self._bout.seed * 65_536 + me
        )

    def _life(self, me: int, agent: QAgent) -> Rollout:
        bout = self._bout
        seed, rate = bout.seed * 65_536 + me, bout.sync_every / INTERVAL_S
        return Rollout(self._task.make_env(seed), agent, seed=seed, steps=bout.steps, rate=rate)

    def live(self) -> None:
        """Run until all steps are taken and all honest members hold the last round."""
        self.swarm.run(self._end + QUIET_S)
        self.swarm.run(self._end + LAST_S, done=lambda: agreed_tables_identical(self.honest))

    def outcome(self) -> dict[str, Any]:
        """What to report; see `ProtocolBout.run`."""
        return {**self._learning(), **self._rounds(), **self.auditor.outcome(self._own_agreements())}

    def _learning(self) -> dict[str, Any]:
        task, initial_q = self._task, self.swarm.genesis.config.initial_q
        values = [task.evaluate(table.agent.table, initial_q) for table in self.honest]
        state, everybody = self.honest[0].member.state, range(self._bout.members)
        lying, gone = np.isin(everybody, list(self._liars)), ~np.isin(everybody, state.roster.active)
        caught, wronged = ((state.excluded | gone)[who] for who in (lying, ~lying))
        return {
            "normalised_value": round(float(np.mean(values)), 6),
            "worst_honest_value": round(min(values), 6),
            "true_positive_rate": round(float(caught.mean()), 6) if len(caught) else None,
            "false_positive_rate": round(float(wronged.mean()), 6),
            "paired_honest": int(state.standing.paired[~lying].sum()),
            "evicted": int(gone.sum()),
        }

    def _rounds(self) -> dict[str, Any]:
        swarm, rounds = self.swarm, max(1, self.honest[0].member.state.round)
        first = {agreement.round: agreement.term for agreement in reversed(swarm.log.agreements)}
        received = [swarm.network.traffic[table.me].bytes / rounds for table in self.honest]
        return {
            "rounds": len(first),
            "later_terms": sum(term > 0 for term in first.values()),
            "bytes_per_member_and_round": {"mean": round(float(np.mean(received))), "max": round(max(received))},
        }

    def _own_agreements(self) -> list[tuple[int, bytes]]:
        found = self.swarm.log.agreements
        return [(one.round, one.state) for one in found if one.member not in self._liars]


class Auditor:
    """Folds the contributions of every round twice, without any member, and compares what the members agreed on."""

    def __init__(self, genesis: Genesis, setting: Setting) -> None:
        self._genesis = genesis
        self._state, self._direct = State.initial(genesis), Direct(setting, genesis.quorum.tolerated)
        self._hashes: dict[int, bytes] = {}
        self.differences: Counter[str] = Counter()

    def check(self, committed: Committed) -> None:
        """Take a round: read its items anew, signatures and all, and merge them. For `Swarm.on_round`."""
        keys = self._genesis.public_keys
        entries = [Entry.read(one.item, keys[one.body.member], self._genesis, verify) for one in committed.entries]
        petition = wire.decode_body(Value, committed.commit.value).change
        self._state = self._state.apply(entries, None if petition is None else petition.change)
        self._direct.fold(entries, self._state.cells, self._state.roster)
        self._hashes[self._state.round] = self._state.hash
        self.differences.update(self._direct.differs(committed.state))

    def outcome(self, agreements: list[tuple[int, bytes]]) -> dict[str, Any]:
        """How often members, of whom (round, hash of the state) of every commit are given, held anything else."""
        forks = sum(self._hashes.get(round) != hash for round, hash in agreements)
        return {
            "agreements": len(agreements), "forks": forks, "differences": dict(self.differences),
            "same_bits": bool(agreements) and not forks and not self.differences,
        }  # fmt: skip


def _seed(bout: Bout, me: int) -> bytes:
    return hashlib.sha256(f"{bout.seed} {bout.members} key {me}".encode()).digest()


def federation_config(task: Task, sync_every: int) -> FederationConfig:
    """What a federation agrees on for a bout; its rules are those of `defended.rules_for`."""
    per_round = max(FederationConfig().visit_budget_per_round, sync_every)
    interval_ms = round(2_000 * INTERVAL_S)
    return config_for(
        task, sync_after_interactions=sync_every, visit_budget_per_round=per_round, sync_interval_ms=interval_ms
    )


GRID = Grid(
    tasks=("CliffWalking-v1", "GARNET(100,4,5)", "FrozenLake-v1", "Taxi-v4"),
    fractions=(THIRD,), rules=(QORUM,), seeds=1, steps=300, pulls=0,
)  # fmt: skip
"""What `qorum arena --protocol` runs."""
QUICK = replace(
    GRID, tasks=GRID.tasks[:2], attacks=("sign_flip", "alie", "scattered_high", "equivocation"), members=16, steps=150
)
"""What `--quick` makes of it: half a minute."""


def protocol_arena(grid: Grid, folder: Path, progress: Progress = lambda name, share: None) -> dict[str, Any]:
    """Run every bout of a grid both ways, those that the journals in `folder` do not hold yet.

    Returns a JSON-able dict; `rows` has what came of the protocol, and under `direct` of the direct merge.

    Raises:
        ConfigError: another rule than qorum's or parts of it, or the folder holds the journals of something else.
    """
    if grid.ablation:
        raise ConfigError("a federation has all parts of the defence; take them away without the protocol")
    started, known = time.perf_counter(), [case for case in grid.cases() if case.attack != WORST]
    bouts = [bout for case in known for bout in grid.seeded(case)]
    full = [ProtocolBout(**asdict(bout)) for bout in bouts]
    direct, protocol = Journal(folder / "bouts.jsonl", Bout), Journal(folder / "protocol.jsonl", ProtocolBout)
    run_all(bouts, direct, partial(progress, STAGES[0]))
    run_all(full, protocol, partial(progress, STAGES[1]))
    return {
        "kind": "arena --protocol",
        "qorum": qorum.__version__,
        "machine": machine(),
        "rows": [_row(protocol[one], direct[other]) for one, other in zip(full, bouts, strict=True)],
        "wall_s": round(time.perf_counter() - started, 1),
    }


def _row(record: Record, direct: Record) -> Record:
    kept = ("normalised_value", "worst_honest_value", "true_positive_rate", "false_positive_rate", "paired_honest")
    whole = {name: figure for name, figure in record.items() if name != "version"}
    return {**whole, "direct": {name: direct[name] for name in kept}}
