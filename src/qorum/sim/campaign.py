"""Campaigns: many short runs against faults and liars drawn from seeds, each watched by all invariants.

A run is an adversarial phase, then a heal that demands progress. It is fixed by (setup, seed, script): the same three
give the same run, event by event, on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from random import Random

import msgspec

from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.core.member import Member
from qorum.core.quorum import Quorum
from qorum.core.streams import KEPT_ROUNDS
from qorum.sim.behaviours.catalogue import BEHAVIOURS
from qorum.sim.behaviours.ring import Liar, Ring
from qorum.sim.behaviours.twin import Twin
from qorum.sim.cluster import Cluster, random_columns
from qorum.sim.faults import Script, Sleep, apply, changes, draw, in_order, losses
from qorum.sim.host import Host
from qorum.sim.invariants.admission import Admission
from qorum.sim.invariants.eviction import Eviction
from qorum.sim.invariants.invariant import Invariant, Violation
from qorum.sim.invariants.progress import Progress
from qorum.sim.invariants.retention import Retention
from qorum.sim.invariants.watch import INVARIANTS, Watch
from qorum.sim.keys import quick_keys, real_keys
from qorum.sim.network import Links

MEMBERS = (4, 5, 7, 10, 13)
SLEEP_ROUNDS = KEPT_ROUNDS + 10
CHECK_EVERY = 40
"""Events between two looks at all hosts."""
HEAL_S = 120.0
"""Virtual seconds that a heal may take at most; what is not well by then never is."""
CRASH_SHARE, HONEST_SHARE = 0.2, 0.15
"""Of the runs drawn: those of federations in crash mode; of the others, those without liars."""
SLEEPER_SHARE, CHANGING_SHARE = 0.06, 0.25
"""Of all runs: those in which a host is away for very long; of the others, those with changes of membership."""
TWIN_SHARE = 0.3
"""Of the other runs with liars: those in which all liars are twins."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made of, but for its seed and its faults."""

    members: int
    crash_only: bool = False
    liars: tuple[tuple[str, ...], ...] = ()
    """Behaviours of each liar; they sit on the last seats."""
    lost: int = 0
    """Hosts that lose their store; with the liars at most as many as are tolerated."""
    leaving: int = 0
    """Members that may leave: with so many fewer the liars and the lost are still tolerated."""
    changing: bool = False
    """Whether operators ask for changes of membership."""
    sleeper: bool = False
    """Whether a host is down for so long that the others keep no proofs of the rounds it missed."""
    cells: int = 16
    updates: int = 2
    """States that are reported on, and how many in a contribution."""
    duration: float = 6.0
    """Adversarial phase, virtual seconds; timers are about five times as fast as those of a real federation."""
    intensity: float = 1.5
    """Faults a second."""
    news_every: float = 0.35
    """Mean seconds between contributions with news, of all hosts together. At 0.1 rounds follow each other so closely
    that whoever is away for two seconds needs a snapshot."""
    patience: float = 1.0
    """Factor on the timeouts of a term: below 0.3 many terms fail before the slower half of the frames is there."""
    real_keys: bool = False
    """Ed25519 in place of keyed hashes: slower, and the strict predicate of signatures takes part."""

    @property
    def config(self) -> FederationConfig:
        """Short timers, so that much happens in a second."""
        return FederationConfig(
            byzantine_threshold=0.0 if self.crash_only else 1 / 3,
            collect_ms=40,
            propose_timeout_ms=int(300 * self.patience),
            vote_timeout_ms=int(200 * self.patience),
            timeout_step_ms=int(100 * self.patience),
            timeout_cap_ms=3_000,
            gossip_tick_ms=150,
            gossip_flush_ms=10,
        )

    @property
    def liar_seats(self) -> range:
        """Seats that lie."""
        return range(self.members - len(self.liars), self.members)

    @property
    def twin_seats(self) -> list[int]:
        """Seats that run on two hosts."""
        pairs = zip(self.liar_seats, self.liars, strict=True)
        return [seat for seat, names in pairs if Twin.name in names]


class Outcome(msgspec.Struct, frozen=True):
    """How a run went; with setup, seed and script it can be run again."""

    setup: Setup
    seed: int
    script: Script
    violations: tuple[Violation, ...]
    rounds: int
    """Newest round that an honest member agreed on."""
    terms: int
    """Highest term in which an honest member committed."""
    events: int
    event_hash: str
    virtual: float
    """Seconds of virtual time, and of wall time:"""
    wall: float


class Run:
    """One cluster with its faults, liars and watch."""

    def __init__(
        self,
        setup: Setup,
        seed: int,
        script: Script,
        make_member: Callable[..., Member] = Member,
        invariants: Sequence[type[Invariant]] = INVARIANTS,
    ) -> None:
        self.setup = setup
        keys = (real_keys if setup.real_keys else quick_keys)(seed, setup.members)
        self.cluster = Cluster(
            Genesis(keys.public, setup.config), keys, seed, Links(delay=(0.005, 0.025)),
            liars=setup.liar_seats, twins=setup.twin_seats, make_member=make_member,
        )  # fmt: skip
        self.random = Random(f"{seed} news")
        self.cluster.write = lambda host: random_columns(self.random, setup.cells, setup.updates)
        ring = Ring(self.cluster, str(seed))
        for seat, names in zip(setup.liar_seats, setup.liars, strict=True):
            for host in self.cluster.at[seat]:
                self.cluster.conduct[host.address] = Liar(host, ring, [BEHAVIOURS[name] for name in names])
        self.watch = Watch(self.cluster, invariants)
        self.cluster.witnesses.append(self.watch)
        self.events = 0
        self._demands = [i for i in self.watch.invariants if isinstance(i, Progress | Retention | Admission | Eviction)]
        self._calm = False
        apply(script, self.cluster, setup.duration)

    def play(self) -> None:
        """Both phases, to the end."""
        self.cluster.start()
        self._news()
        self._pass(self.setup.duration)
        self.cluster.mend()
        self.watch.healed()
        self._pass(self.setup.duration + HEAL_S, self._settled)
        self.watch.end()

    def _pass(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        while self.cluster.now < until and self.cluster.timeline.step():
            self.events += 1
            if self.events % CHECK_EVERY == 0:
                self.watch.check()
                if done():
                    return

    def _news(self) -> None:
        """Somebody learns something, again and again until all that is demanded of the heal has come."""
        if not self._calm:
            self.cluster.contribute(self.random.choice(self.cluster.hosts), self.cluster.write(self.cluster.hosts[0]))
            self.cluster.timeline.after(self.random.expovariate(1 / self.setup.news_every), self._news)

    def _settled(self) -> bool:
        """Whether everybody went on, nothing is missing, and, the news having stopped, all hold one state."""
        self._calm = self._calm or not any(demand.outstanding for demand in self._demands)
        states = {host.member.state.hash for host in self._up}
        return self._calm and len(states) == 1

    @property
    def _up(self) -> list[Host]:
        return [host for host in self.cluster.honest if host.up]


def run_one(
    setup: Setup,
    seed: int,
    script: Script | None = None,
    *,
    make_member: Callable[..., Member] = Member,
    invariants: Sequence[type[Invariant]] = INVARIANTS,
) -> Outcome:
    """One run. script: None draws one from the seed. An exception out of a member is reported as a violation."""
    began = time.perf_counter()
    script = script_of(setup, seed) if script is None else script
    run = Run(setup, seed, script, make_member, invariants)
    violations: list[Violation] = []
    try:
        run.play()
    except Exception as error:  # what it is matters less than which run it was
        violations.append(Violation("no-exception", f"{type(error).__name__}: {error}", run.cluster.now))
    violations += run.watch.violations
    return Outcome(
        setup=setup, seed=seed, script=script, violations=tuple(violations),
        rounds=max(run.watch.ledger.values), terms=run.watch.ledger.furthest_term, events=run.events,
        event_hash=run.cluster.event_hash, virtual=run.cluster.now, wall=time.perf_counter() - began,
    )  # fmt: skip


# --- drawing ---


def setup_of(seed: int, members: Sequence[int] = MEMBERS) -> Setup:
    """A setup drawn from a seed: as many liars as are tolerated, most of the time."""
    random = Random(f"{seed} setup")
    size = random.choice(members)
    crash_only = random.random() < CRASH_SHARE
    quorum = Quorum.of(size, 0.0 if crash_only else 1 / 3)
    spare = size - quorum.size
    lying = 0 if crash_only or random.random() < HONEST_SHARE else random.randint(max(1, spare - 1), max(1, spare))
    lying = min(lying, quorum.tolerated)
    sleeper = random.random() < SLEEPER_SHARE
    if sleeper:  # the others go on without it
        lying = min(lying, spare - 1)
        return Setup(
            members=size, crash_only=crash_only, liars=tuple(_lies(random, lying)), duration=12.0, intensity=0.2,
            news_every=0.05, sleeper=True, cells=400, updates=60,
        )  # fmt: skip
    lost = random.randint(0, spare - lying) if random.random() < 0.3 else 0
    changing = random.random() < CHANGING_SHARE
    return Setup(
        members=size, crash_only=crash_only, lost=lost, liars=tuple(_lies(random, lying)),
        leaving=_spared(size, lying, lost, crash_only), changing=changing,
        duration=round(random.uniform(4, 8), 1), intensity=random.choice((0.5, 2.0, 4.0)),
        patience=random.choice((0.15, 0.3, 1.0)), news_every=random.choice((0.1, 0.35)),
    )  # fmt: skip


def _spared(size: int, lying: int, lost: int, crash_only: bool) -> int:
    """How many may leave so that those who lie or lost their store are still tolerated, and three are left."""
    leaving = 0
    while size - leaving > 3:
        quorum = Quorum.of(size - leaving - 1, 0.0 if crash_only else 1 / 3)
        if quorum.tolerated < lying or quorum.members - quorum.size < lying + lost:
            break
        leaving += 1
    return leaving


def _lies(random: Random, lying: int) -> Iterator[tuple[str, ...]]:
    if random.random() < TWIN_SHARE:
        yield from [(Twin.name,)] * lying
        return
    others = [name for name in BEHAVIOURS if name != Twin.name]
    for _ in range(lying):
        yield tuple(sorted(random.sample(others, random.randint(1, 3))))


def script_of(setup: Setup, seed: int) -> Script:
    """The faults of a run, drawn from its seed."""
    random = Random(f"{seed} faults")
    hosts = setup.members + len(setup.twin_seats)
    honest = setup.members - len(setup.liars)
    faults = [*draw(random, hosts, setup.duration, setup.intensity)]
    chosen = random.sample(range(honest), min(honest, setup.lost + setup.leaving))
    faults += losses(random, setup.duration, chosen[: setup.lost])
    if setup.changing:
        faults += changes(random, setup.duration, honest, chosen[setup.lost :])
    if setup.sleeper:
        faults.append(Sleep(at=0.5, lasts=setup.duration, host=random.randrange(honest), rounds=SLEEP_ROUNDS))
    return in_order(faults)


# --- campaigns ---


class Report(msgspec.Struct):
    """What a campaign came to."""

    seeds: int = 0
    rounds: int = 0
    events: int = 0
    forks: int = 0
    """Runs in which honest members committed two values in one round."""
    highest_term: int = 0
    virtual: float = 0.0
    wall: float = 0.0
    """Seconds, of virtual time and of this campaign."""
    failed: list[Outcome] = []
    """Runs with violations."""

    def add(self, outcome: Outcome) -> None:
        """Count a run."""
        self.seeds += 1
        self.rounds += outcome.rounds
        self.events += outcome.events
        self.forks += any(violation.name == "agreement" for violation in outcome.violations)
        self.highest_term = max(self.highest_term, outcome.terms)
        self.virtual += outcome.virtual
        if outcome.violations:
            self.failed.append(outcome)


def campaign(
    members: Sequence[int] = MEMBERS,
    seconds: float = 60.0,
    first_seed: int = 0,
    *,
    runs: int | None = None,
    processes: int = 1,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Run seeds from `first_seed` on for `seconds` of wall time, or `runs` of them; what a seed does, time does not
    change. on_outcome is called after every run."""
    report, began = Report(), time.perf_counter()
    seeds = iter(range(first_seed, first_seed + runs) if runs is not None else count(first_seed))
    goes_on = lambda: time.perf_counter() - began < seconds  # noqa: E731
    outcomes = _one_by_one(seeds, members, goes_on) if processes == 1 else _at_once(seeds, members, goes_on, processes)
    for outcome in outcomes:
        report.add(outcome)
        on_outcome(outcome)
    report.wall = time.perf_counter() - began
    return report


def run_seed(seed: int, members: Sequence[int] = MEMBERS) -> Outcome:
    """The run of a campaign that has this seed."""
    return run_one(setup_of(seed, members), seed)


def _one_by_one(seeds: Iterator[int], members: Sequence[int], goes_on: Callable[[], bool]) -> Iterator[Outcome]:
    for seed in seeds:
        if not goes_on():
            return
        yield run_seed(seed, members)


def _at_once(
    seeds: Iterator[int], members: Sequence[int], goes_on: Callable[[], bool], processes: int
) -> Iterator[Outcome]:
    with ProcessPoolExecutor(processes) as pool:
        pending: set[Future[Outcome]] = set()
        while True:
            while goes_on() and len(pending) < 2 * processes and (seed := next(seeds, None)) is not None:
                pending.add(pool.submit(run_seed, seed, members))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from sorted((future.result() for future in done), key=lambda outcome: outcome.seed)
