"""`Swarm`: a whole federation in one process and in virtual time. One seed gives the same run, event by event."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import Protocol

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core.effects import Blame, Committed, Effect, Equivocation, Persist, Send, SetTimer, Sign, WindowOpened
from qorum.core.genesis import Genesis
from qorum.core.member import Engine
from qorum.core.sharing import shared_engine
from qorum.core.table import FederatedQTable
from qorum.sim.keys import Keys, real_keys
from qorum.sim.network import Links, Network, Timeline

MakeTable = Callable[[Genesis, int, Engine, Random, QAgent | None], FederatedQTable]


class Life(Protocol):
    """What an agent does between events: it lives in its environment at its own pace."""

    def live_until(self, now: float) -> None:
        """Take all steps due by virtual time `now` [s]."""

    def time_of(self, interactions: int) -> float:
        """Virtual time at which the agent will have had that many interactions; infinite if never."""


@dataclass(frozen=True)
class Agreement:
    """One member's commit of one round, as the log keeps it."""

    time: float
    member: int
    round: int
    term: int
    skipped: int
    """Rounds that a snapshot jumped over."""
    state: bytes
    """Hash of the agreed state."""


@dataclass
class Log:
    """What happened, for whoever reports on it."""

    agreements: list[Agreement] = field(default_factory=list)
    contributed: dict[int, dict[int, float]] = field(default_factory=dict)
    """Member -> seq -> time at which that contribution was sent, until its author knows of a round that holds it."""
    blames: list[tuple[float, int, int, str]] = field(default_factory=list)
    """(time, by, peer, reason)."""
    equivocations: list[Equivocation] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    """Seconds from each contribution sent to its author's commit of a round that holds it."""


class Swarm:
    """Members on one simulated network, each with a federated table and perhaps a life in an environment."""

    def __init__(
        self,
        genesis: Genesis,
        keys: Keys,
        seed: int,
        links: Links,
        make_table: Callable[[int], MakeTable],
        agents: Mapping[int, QAgent],
    ) -> None:
        self.genesis = genesis
        self.timeline = Timeline()
        self.log = Log()
        self.records: dict[int, bytes] = {}
        """What each member made durable."""
        self.lives: dict[int, Life] = {}
        self.on_round: Callable[[Committed], None] | None = None
        """Called once per round, when the first member commits it."""
        self._keys = keys
        self._random = Random(_seed(seed, "swarm"))
        self._newest = 0
        self._plans = count()
        self._planned: dict[int, int] = {}
        """Newest plan to contribute of each member; older ones are void."""
        self._pulse = hashlib.sha256()
        network_random = Random(_seed(seed, "network"))
        self.network = Network(self.timeline, links, network_random, genesis.members, self._deliver)
        engine = shared_engine(genesis, keys.verify)
        self.tables: list[FederatedQTable] = []
        for me in range(genesis.members):
            random = Random(_seed(seed, f"member {me}"))
            table = make_table(me)(genesis, me, engine, random, agents.get(me))
            table.transport = self
            self.tables.append(table)
        for me, table in enumerate(self.tables):
            self._perform(me, table.member.start())

    @classmethod
    def of(
        cls,
        config: FederationConfig,
        members: int,
        *,
        seed: int = 0,
        links: Links | None = None,
        agents: Mapping[int, QAgent] | None = None,
        make_table: Callable[[int], MakeTable] = lambda me: FederatedQTable,
        make_keys: Callable[[int, int], Keys] = real_keys,
    ) -> Swarm:
        """A federation of `members` with keys drawn from `seed`; make_table(me) gives the class of a member's table.

        make_keys: from a seed and how many there are.
        """
        keys = make_keys(seed, members)
        genesis = Genesis(keys.public, config)
        return cls(genesis, keys, seed, links or Links(), make_table, agents or {})

    # --- running ---

    def settle(self, life: Mapping[int, Life]) -> None:
        """Let agents live in their environments from now on."""
        self.lives.update(life)
        for me in life:
            self._plan_contribution(me)

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let virtual time pass to `until` [s], or until `done()`; returns whether it was done."""
        while not (finished := done()) and self.timeline.now < until:
            if not self.timeline.step():
                break
        return finished

    def sync(self, table: FederatedQTable, timeout_s: float) -> bool:
        """`Transport.sync`: contribute, and run until this member has agreed on a round or time is up."""
        round = table.member.state.round
        self._contribute(table.me)
        return self.run(self.timeline.now + timeout_s, lambda: table.member.state.round > round)

    @property
    def event_hash(self) -> str:
        """Hash over every arrival so far, who, when and what; equal runs have equal hashes."""
        return self._pulse.hexdigest()

    # --- hosting members ---

    def _deliver(self, to: int, sender: int, frame: bytes) -> None:
        self._pulse.update(b"%d %d %.9f " % (to, sender, self.timeline.now) + frame)
        self._perform(to, self.tables[to].member.receive(sender, frame))

    def _perform(self, me: int, effects: list[Effect]) -> None:
        """Carry effects out in order, first in, first out; what one of them leads to comes after those before it."""
        waiting = deque(effects)
        while waiting:
            waiting += self._carry_out(me, waiting.popleft())

    def _carry_out(self, me: int, effect: Effect) -> list[Effect]:
        match effect:
            case Send():
                self.network.send(me, effect.to, effect.frame)
            case SetTimer():
                self.timeline.after(effect.delay, partial(self._fire, me, effect))
            case Persist():
                self.records[me] = effect.record
            case Sign():
                return self.tables[me].member.signed(effect, self._keys.sign(me, effect.data))
            case Committed():
                self._committed(me, effect)
            case WindowOpened():
                self._window_opened(me, effect.round)
            case Blame():
                self.log.blames.append((self.timeline.now, me, effect.peer, effect.reason))
            case Equivocation():
                self.log.equivocations.append(effect)
        return []

    def _fire(self, me: int, timer: SetTimer) -> None:
        if not self.network.is_stopped(me):
            self._perform(me, self.tables[me].member.timer(timer))

    def _live(self, me: int) -> None:
        if me in self.lives:
            self.lives[me].live_until(self.timeline.now)

    def _window_opened(self, me: int, round: int) -> None:
        """Join a round that others opened, at a random moment within the jitter, unless this member already has."""
        jitter = self.genesis.config.sync_jitter * self.genesis.config.collect_ms / 1000

        def join() -> None:
            member = self.tables[me].member
            if member.consensus.round == round and me not in member.streams.ahead:
                self._contribute(me)

        self.timeline.after(self._random.uniform(0, jitter), join)

    def _contribute(self, me: int) -> None:
        if self.network.is_stopped(me):
            return
        self._live(me)
        if not self.tables[me].member.may_contribute:  # a full backlog: try again later
            self.timeline.after(self.genesis.config.sync_interval_ms / 1000, partial(self._plan_contribution, me))
            return
        effects = self.tables[me].contribute()
        tip = self.tables[me].member.streams.tips[me]
        self.log.contributed.setdefault(me, {})[tip.seq + 1] = self.timeline.now
        self._perform(me, effects)
        self._plan_contribution(me)

    def _plan_contribution(self, me: int) -> None:
        """Contribute of its own accord: after enough interactions, or after the interval while no round is agreed."""
        if me not in self.lives:
            return
        table, plan = self.tables[me], next(self._plans)
        self._planned[me] = plan
        interval = self.genesis.config.sync_interval_ms / 1000
        enough = table.next_due
        at = self.timeline.now + interval if enough is None else self.lives[me].time_of(enough)
        if at == float("inf"):
            return
        jitter = 1 + self.genesis.config.sync_jitter * self._random.random()

        def contribute() -> None:
            if self._planned[me] == plan:
                self._contribute(me)

        self.timeline.after(max(at - self.timeline.now, 0.0) * jitter, contribute)

    def _committed(self, me: int, committed: Committed) -> None:
        self._live(me)
        self._note(me, committed)
        self.tables[me].on_committed(committed)
        if committed.state.round > self._newest:
            self._newest = committed.state.round
            if self.on_round is not None:
                self.on_round(committed)
        self._plan_contribution(me)

    def _note(self, me: int, committed: Committed) -> None:
        now, state = self.timeline.now, committed.state
        self.log.agreements.append(Agreement(now, me, state.round, committed.term, committed.skipped, state.hash))
        waiting = self.log.contributed.get(me, {})
        for seq in [seq for seq in waiting if seq <= state.heads[me].seq]:
            self.log.latencies.append(now - waiting.pop(seq))


def _seed(seed: int, purpose: str) -> bytes:
    return hashlib.sha256(f"{seed} {purpose}".encode()).digest()
