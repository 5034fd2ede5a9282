"""`Experiment`: a measured run of full members with synthetic contributions, and what it showed.

One after the other, rounds are opened by a random member; everybody else joins. Faults come from a script drawn from
the seed. Then all faults end, everything settles, and the federation is left alone for a while to see what idleness
costs. (experiment, script) fix the run, event by event.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, Literal

import msgspec
import numpy as np

from qorum.config import FederationConfig
from qorum.core.cells import Cells
from qorum.core.columns import EMPTY, Columns
from qorum.core.genesis import Genesis
from qorum.core.quorum import Quorum
from qorum.core.sharing import shared_engine
from qorum.errors import ConfigError
from qorum.merge.fixed import Ints
from qorum.sim.behaviours.catalogue import BEHAVIOURS
from qorum.sim.behaviours.ring import Liar, Ring
from qorum.sim.behaviours.twin import Twin
from qorum.sim.cluster import Cluster, random_columns, united, unsaid
from qorum.sim.faults import AnyFault, Crash, Partition, Replay, Script, apply, draw, in_order
from qorum.sim.host import Host
from qorum.sim.invariants.agreement import Agreement
from qorum.sim.invariants.chain import Chain
from qorum.sim.invariants.invariant import Invariant
from qorum.sim.invariants.retention import Retention
from qorum.sim.invariants.single_body import SingleBody
from qorum.sim.invariants.watch import SAFETY, Watch
from qorum.sim.keys import quick_keys, real_keys
from qorum.sim.meter import Meter
from qorum.sim.network import Links
from qorum.sim.trace import Trace

STATES, NAMED_CELLS = 1_000, 400
"""Contributions are on this many states, and name cells until so many are agreed; from then on they go by id."""
STRICT = 32
"""Up to so many members everything is watched; beyond that what costs little."""
LANES = 16
"""Up to so many members every message can be traced."""
NEWS_S = 2.0
"""Seconds after which somebody else has news, while a round does not come about."""
PATIENCE_S = 60.0
"""Virtual seconds without faults after which a round, or calm, is waited for no more."""
BREATH_S, IDLE_S = 1.0, 10.0
"""Virtual seconds between calm and the measurement of idleness, and of that measurement."""
CUT_AT, CRASH_WITHIN, DRAWN_PER_ROUND = 0.5, 0.5, 1.0
"""Virtual seconds: when a partition begins; within how many a round crashes happen; what faults are drawn for."""

Progress = Callable[[str, float], None]
"""Called with what goes on, and its share that is done."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure. Raises `ConfigError` naming what is out of range."""

    members: int = 16
    liars: int = 0
    """On the last seats. Silent for the whole run, unless"""
    behaviours: tuple[str, ...] = ()
    """these are how each of them lies; names of `sim.behaviours`."""
    adversary: Literal["none", "random"] = "none"
    """random: faults of links and hosts are drawn from the seed, one a second."""
    loss: float = 0.0
    """Share of frames that vanish."""
    delay_ms: tuple[float, float] = (20.0, 80.0)
    """One way, uniform between these."""
    partition_s: float = 0.0
    """Seconds for which two random halves do not hear each other."""
    crashes: int = 0
    """Honest members that crash once, and are back 1 to 3 seconds later."""
    rounds: int = 3
    seed: int = 0
    updates: int = 10
    """Of one contribution."""
    keys: Literal["quick", "real"] = "quick"
    """real: Ed25519; quick: keyed hashes, a hundred times as fast."""

    def __post_init__(self) -> None:
        _demand(3 <= self.members <= 4096, f"members is {self.members}; allowed: 3 to 4096, fewer agree on no rounds")
        _demand(0 <= self.liars < self.members, f"liars is {self.liars}; allowed: 0 to {self.members - 1}")
        low, high = self.delay_ms
        _demand(0 <= low <= high <= 60_000, f"delay is {low:g}-{high:g} ms; allowed: 0 <= low <= high <= 60000")
        _demand(0 <= self.loss < 1, f"loss is {self.loss:g}; allowed: 0 to less than 1")
        _demand(self.partition_s >= 0, f"partition is {self.partition_s:g} s; allowed: 0 or more")
        honest = self.members - self.liars
        _demand(0 <= self.crashes <= honest, f"crash is {self.crashes}; allowed: 0 to {honest}, the honest members")
        _demand(self.rounds >= 1, f"rounds is {self.rounds}; allowed: 1 or more")
        _demand(0 <= self.updates <= STATES, f"updates is {self.updates}; allowed: 0 to {STATES}")
        for name in self.behaviours:
            _demand(name in BEHAVIOURS, f"unknown behaviour {name!r}; there are: {', '.join(BEHAVIOURS)}")

    @property
    def liar_seats(self) -> range:
        """Seats that lie."""
        return range(self.members - self.liars, self.members)

    @property
    def tolerated(self) -> int:
        """f: so many liars forge and stop nothing."""
        return Quorum.of(self.members, FederationConfig().byzantine_threshold).tolerated


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


def script_of(experiment: Experiment) -> Script:
    """The faults of an experiment, drawn from its seed."""
    random = Random(f"{experiment.seed} experiment")
    members, rounds = experiment.members, experiment.rounds
    faults: list[AnyFault] = []
    if experiment.partition_s:
        half = tuple(sorted(random.sample(range(members), members // 2)))
        faults.append(Partition(at=CUT_AT, lasts=experiment.partition_s, sides=(half,)))
    for host in random.sample(range(members - experiment.liars), experiment.crashes):
        at, lasts = random.uniform(0.1, CRASH_WITHIN * rounds + 0.1), random.uniform(1, 3)
        faults.append(Crash(at=round(at, 3), lasts=round(lasts, 3), host=host, after=random.randrange(12)))
    if experiment.adversary == "random":
        faults += draw(random, members, max(3.0, DRAWN_PER_ROUND * rounds), 1.0)
    return in_order(faults)


class Measured:
    """An experiment that is being run, and then what it showed."""

    def __init__(self, experiment: Experiment, script: Script | None = None, *, traced: bool = False) -> None:
        """script: None draws one from the seed. traced: keep every message; for at most `LANES` members."""
        self.experiment = experiment
        self.script = script_of(experiment) if script is None else script
        self._random = Random(f"{experiment.seed} news")
        self.cluster, decode = self._federation()
        self.cluster.write = self._columns
        self.meter = Meter(self.cluster, decode)
        self.watch = Watch(self.cluster, watched(experiment.members))
        self.trace = Trace(self.cluster) if traced and experiment.members <= LANES else None
        self.cluster.witnesses += [self.meter, self.watch, *([self.trace] if self.trace else [])]
        self._ticks_to_equal: int | None = None
        self._heals = False
        """Whether a partition is over and stores are not yet equal."""
        self._most_received = 0.0
        self._idle = 0.0
        self._active_wall = self._wall = 0.0
        self._measured = self._received = 0
        """Rounds agreed on before things were let settle, and the bytes that honest members received until then."""
        self._kinds: dict[str, int] = {}
        self.event_hash = ""
        """Of the whole run, once it is over."""

    def _federation(self) -> tuple[Cluster, Callable[[bytes], Any]]:
        it = self.experiment
        keys = (real_keys if it.keys == "real" else quick_keys)(it.seed, it.members)
        genesis = Genesis(keys.public, FederationConfig())
        engine = shared_engine(genesis, keys.verify)
        low, high = it.delay_ms
        twins = it.liar_seats if Twin.name in it.behaviours else ()
        cluster = _Cluster(
            genesis, keys, it.seed, Links((low / 1000, high / 1000), it.loss),
            liars=it.liar_seats, twins=twins, engine=engine,
        )  # fmt: skip
        ring = Ring(cluster, str(it.seed))
        for seat in it.liar_seats:
            for host in cluster.at[seat]:
                if it.behaviours:
                    cluster.conduct[host.address] = Liar(host, ring, [BEHAVIOURS[name] for name in it.behaviours])
                else:
                    host.lose()  # it never comes back
        return cluster, engine.decode

    def _columns(self, host: Host) -> Columns:
        """What a host contributes: nothing more once all rounds that are measured are over."""
        if host.member.state.round >= self.experiment.rounds:
            return EMPTY
        known = len(host.member.state.cells)
        if known < max(NAMED_CELLS, self.experiment.updates):
            return random_columns(self._random, STATES, self.experiment.updates)
        ids = np.array(sorted(self._random.sample(range(known), self.experiment.updates)), dtype=np.int64)

        def drawn(low: int, high: int) -> Ints:
            return np.array([self._random.randint(low, high) for _ in ids], dtype=np.int64)

        return Columns(ids, EMPTY.states, EMPTY.actions, drawn(-(1 << 20), 1 << 20), drawn(1, 64), drawn(0, 1 << 18))

    # --- the run ---

    def run(self, progress: Progress = lambda what, share: None) -> dict[str, Any]:
        """Rounds, calm, idleness. Returns what `figures` does."""
        with rarely_collected():
            return self._run(progress)

    def _run(self, progress: Progress) -> dict[str, Any]:
        began = time.perf_counter()
        apply(self.script, self.cluster)
        self.cluster.network.remembers = any(isinstance(fault, Replay) for fault in self.script)
        for fault in self.script:
            if isinstance(fault, Partition):
                self.cluster.timeline.after(fault.at + fault.lasts, self._healed)
        self.cluster.start()
        self._agree(lambda share: progress("rounds", share))
        self._active_wall = time.perf_counter() - began
        self._measured = self.cluster.newest.state.round
        self._received, self._kinds = self._received_by_honest(), dict(self.meter.kinds)
        self._settle()
        self._rest(lambda share: progress("idle", share))
        self.watch.end()
        self.event_hash = self.cluster.event_hash
        self._wall = time.perf_counter() - began
        return self.figures()

    def _agree(self, progress: Callable[[float], None]) -> None:
        """Round after round, each once everybody who is up has agreed on the one before."""
        rounds, before = self.experiment.rounds, list(self.meter.received)
        while self.cluster.newest.state.round < rounds and self._round():
            self._wait(0.02)
            self.watch.check()
            self._note_received(before)
            before = list(self.meter.received)
            progress(min(1.0, self.cluster.newest.state.round / rounds))

    def _round(self) -> bool:
        """Have the next round agreed on; False if it does not come about."""
        hosts, goal = self.cluster.hosts, self.cluster.newest.state.round + 1
        behind = {host.address for host in self.cluster.honest}

        def done() -> bool:
            while behind:
                address = next(iter(behind))
                if hosts[address].up and hosts[address].member.state.round < goal:
                    return False
                behind.remove(address)
            return not self._heals

        deadline = max(self.cluster.now, self._faults_end) + PATIENCE_S
        while self.cluster.now < deadline:
            self._news()
            if self.cluster.run(min(self.cluster.now + NEWS_S, deadline), done):
                return True
        return False

    def _news(self) -> None:
        """Somebody who has nothing uncommitted has news."""
        free = [h for h in self._up if not h.paused and h.seat not in h.member.streams.ahead]
        if free:
            host = self._random.choice(free)
            self.cluster.contribute(host, self.cluster.write(host))

    def _note_received(self, before: Sequence[int]) -> None:
        pairs = [(self.meter.received[h.address], before[h.address]) for h in self.cluster.honest]
        self._most_received = max(self._most_received, *(now - then for now, then in pairs))

    def _settle(self) -> None:
        """No more news, no more faults: wait until all hold one state, and what was contributed is committed."""
        self.cluster.write = lambda host: EMPTY  # also if not all rounds came about
        self.cluster.run(self._faults_end)
        self.cluster.mend()
        deadline = self.cluster.now + PATIENCE_S
        while self.cluster.now < deadline and not self._calm():
            self._wait(self._tick_s)

    def _rest(self, progress: Callable[[float], None]) -> None:
        self._wait(BREATH_S)
        before, start = self._received_by_honest(), self.cluster.now
        for second in range(int(IDLE_S)):
            self._wait(1.0)
            progress((second + 1) / IDLE_S)
        received = self._received_by_honest() - before
        self._idle = received / (self.cluster.now - start) / len(self.cluster.honest)

    def _wait(self, seconds: float) -> None:
        self.cluster.run(self.cluster.now + seconds)

    # --- partitions ---

    def _healed(self) -> None:
        self._heals = True
        self.cluster.timeline.after(self._tick_s, partial(self._compare, 1))

    def _compare(self, ticks: int) -> None:
        """Look once a tick whether all stores are equal."""
        if self._equal_stores():
            self._heals, self._ticks_to_equal = False, ticks
        elif ticks * self._tick_s < PATIENCE_S:
            self.cluster.timeline.after(self._tick_s, partial(self._compare, ticks + 1))
        else:
            self._heals = False

    def _equal_stores(self) -> bool:
        """Whether all honest members that are up hold the same state, and the same items beyond it."""
        members = [host.member for host in self._up]
        first = members[0]
        return all(m.state.hash == first.state.hash and m.streams.tips == first.streams.tips for m in members)

    def _calm(self) -> bool:
        nothing_due = not any(entry.is_news for entry in self._up[0].member.streams.newer(1 << 31))
        return nothing_due and self._equal_stores()

    @property
    def _tick_s(self) -> float:
        return self.cluster.genesis.config.gossip_tick_ms / 1000

    @property
    def _faults_end(self) -> float:
        return max((fault.at + fault.lasts for fault in self.script), default=0.0)

    @property
    def _up(self) -> list[Host]:
        return [host for host in self.cluster.honest if host.up]

    def _received_by_honest(self) -> int:
        return sum(self.meter.received)

    # --- results ---

    @property
    def rounds(self) -> int:
        """Rounds agreed on before things were let settle."""
        return self._measured

    def figures(self) -> dict[str, Any]:
        """What the run showed, as JSON has it.

        - rounds_committed: by every honest member that is up in the end.
        - sync_latency_s: see `Meter.latencies`; what was restated counts by the contribution that restates it.
        - hops: links that an item crossed on its way to each member.
        - bytes_received_per_member_per_round: of honest members, over the rounds asked for; `max` is the most that one
          member received in one of them. certificates: votes of a quorum in one message, commits, states.
        - messages: frames that arrived. redundant_copies: copies of an item (payload), of a vote or proposal (control)
          that arrive at a member beyond the first, per first arrival.
        - delivered_fraction: of the contributions that say anything, by honest members that are up in the end and were
          never restarted, the share that every honest member that is up has committed, or restated in a later one.
        - forks: rounds of which honest members committed two values. violations: of all invariants watched.
        - idle_bytes_per_s_per_member: received, over ten seconds in which nobody has news.
        - largest_frame_bytes: of a frame that arrived; largest_exchange_bytes: what one member sends as its
          contribution to a round.
        - equal_stores_after_heal_ticks: gossip ticks after a partition until all honest members hold the same items
          and state; None without one, or if they never do.
        """
        it, meter = self.experiment, self.meter
        rounds = min((host.member.state.round for host in self._up), default=0)
        violations = self.watch.violations
        return {
            "members": it.members,
            "liars": it.liars,
            "rounds_committed": rounds,
            "sync_latency_s": _quantiles(meter.latencies()),
            "hops": _mean_and_max(meter),
            "bytes_received_per_member_per_round": self._bytes(),
            "messages": meter.frames,
            "redundant_copies": {name: _per_first(*n) for name, n in
                                 (("control", meter.control), ("payload", meter.payload))},
            "delivered_fraction": self._delivered(),
            "forks": sum(violation.name == Agreement.name for violation in violations),
            "violations": [msgspec.structs.asdict(violation) for violation in violations],
            "event_hash": self.event_hash,
            "wall_s": round(self._wall, 2),
            "seeds_run": 1,
            "wall_s_per_round": round(self._active_wall / self._measured, 3) if self._measured else None,
            "virtual_s": round(self.cluster.now, 3),
            "idle_bytes_per_s_per_member": round(self._idle),
            "largest_frame_bytes": meter.largest_frame,
            "largest_exchange_bytes": max((agreed.exchange for agreed in meter.agreed.values()), default=0),
            "equal_stores_after_heal_ticks": self._ticks_to_equal,
            "terms": self.watch.ledger.furthest_term,
            "seed": it.seed,
        }  # fmt: skip

    def _bytes(self) -> dict[str, int | None]:
        share = self._measured * len(self.cluster.honest)
        kinds = {name: self._kinds.get(name, 0) for name in ("votes", "payload", "certificates", "other")}
        if not share:
            return dict.fromkeys(("mean", "max", *kinds))
        means = {name: round(size / share) for name, size in kinds.items()}
        return {"mean": round(self._received / share), "max": round(self._most_received), **means}

    def _delivered(self) -> float | None:
        up = self._up
        authors = {host.seat for host in up if host.life == 0}
        heads = [min(seqs) for seqs in zip(*(map(_seq, host.member.state.heads) for host in up), strict=True)]
        signed = [(member, seq) for member, seq in self.meter.signed if member in authors]
        return round(sum(heads[member] >= seq for member, seq in signed) / len(signed), 6) if signed else None


def watched(members: int) -> tuple[type[Invariant], ...]:
    """The invariants of a measured run."""
    return (*SAFETY, Retention) if members <= STRICT else (Agreement, Chain, SingleBody)


class _Cluster(Cluster):
    """Members may name cells by id; what is restated is spelled out."""

    def contribute(self, host: Host, columns: Columns) -> bool:
        """As a cluster has it."""
        if not (host.up and host.member.may_contribute and host.member.restates) or host.paused:
            return super().contribute(host, columns)
        cells = host.member.state.cells
        columns = united([named(part, cells) for part in (*unsaid(host.member), columns)])
        if host.address in self.conduct:
            columns = self.conduct[host.address].write(columns)
        host.perform(host.member.contribute(columns))
        return True


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Look for cycles of garbage less often: there are hardly any, and the millions of objects that live as long as a
    run were looked through for a third of its time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def named(columns: Columns, cells: Cells) -> Columns:
    """The same with every cell named by state and action."""
    states = np.concatenate([cells.state_hash[columns.known], columns.states])
    actions = np.concatenate([cells.action[columns.known], columns.actions])
    order = np.lexsort((actions, states))
    value, visits, spread = (column[order] for column in (columns.value, columns.visits, columns.spread))
    return Columns(EMPTY.known, states[order], actions[order], value, visits, spread)


def _seq(head: Any) -> int:
    return int(head.seq)


def _quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """Of ascending values."""
    if not values:
        return dict.fromkeys(("p50", "p99", "max"))
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(values[min(int(share * len(values)), len(values) - 1)], 4) for name, share in at.items()}


def _mean_and_max(meter: Meter) -> dict[str, float | None]:
    arrivals = meter.hops.total()
    if not arrivals:
        return {"mean": None, "max": None}
    return {"mean": round(sum(h * n for h, n in meter.hops.items()) / arrivals, 3), "max": max(meter.hops)}


def _per_first(first: int, further: int) -> float | None:
    return round(further / first, 4) if first else None
