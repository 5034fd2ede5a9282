"""Faults: a script of what goes wrong with links and hosts, drawn from a seed, kept as JSON, and dropped one by one.

Each record is one whole fault, with its beginning and its end, so that a script stays a script whichever of them are
left out. Disks keep their word: what a fsync was waited for is there. A write that a crash interrupts, torn or not yet
begun, leaves the record before, and nothing that the new one implies was sent. A host whose store is lost stays down,
or comes back with a new key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import product
from math import inf
from random import Random

import msgspec

from qorum.core import wire
from qorum.core.effects import Committed, Effect, Persist
from qorum.core.messages import Bundle, Votes
from qorum.core.votes import FIRST
from qorum.errors import ProtocolError
from qorum.sim.cluster import Cluster
from qorum.sim.host import Host, never
from qorum.sim.network import Links

Pairs = Sequence[tuple[int, int]]
Address = int


LOOK = 0.1
"""Seconds between two looks of a host that sleeps."""


class Fault(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What goes wrong, from virtual time `at` [s] for `lasts` seconds."""

    at: float
    lasts: float = 0.0

    def begin(self, cluster: Cluster) -> None:
        """Let it go wrong."""

    def end(self, cluster: Cluster) -> None:
        """Undo it; does no harm where a heal has done so before."""


# --- links ---


class _Cut(Fault, frozen=True):
    """Some addresses do not reach some others."""

    def pairs(self, cluster: Cluster) -> Pairs:
        """(from, to) of every frame that is swallowed."""
        raise NotImplementedError

    def begin(self, cluster: Cluster) -> None:
        """Cut."""
        cluster.network.block(self.pairs(cluster))

    def end(self, cluster: Cluster) -> None:
        """Heal."""
        cluster.network.unblock(self.pairs(cluster))


class Partition(_Cut, frozen=True):
    """Only hosts of one side hear each other; those not named form a side of their own."""

    sides: tuple[tuple[Address, ...], ...]

    def pairs(self, cluster: Cluster) -> Pairs:
        """All pairs across sides."""
        side = {address: number for number, side in enumerate(self.sides, 1) for address in side}
        everybody = range(len(cluster.hosts))
        return [(a, b) for a, b in product(everybody, everybody) if side.get(a, 0) != side.get(b, 0)]


class OneWay(_Cut, frozen=True):
    """Nothing gets from some hosts to some others; the way back is free."""

    senders: tuple[Address, ...]
    to: tuple[Address, ...]

    def pairs(self, cluster: Cluster) -> Pairs:
        """Senders times hearers."""
        return list(product(self.senders, self.to))


class Bridge(_Cut, frozen=True):
    """Two sides hear each other only through the hosts between them: those not named."""

    left: tuple[Address, ...]
    right: tuple[Address, ...]

    def pairs(self, cluster: Cluster) -> Pairs:
        """Left times right, both ways."""
        return [*product(self.left, self.right), *product(self.right, self.left)]


class Clog(Fault, frozen=True):
    """Links hold their frames, and let go of all of them at the end."""

    senders: tuple[Address, ...]
    to: tuple[Address, ...]

    def begin(self, cluster: Cluster) -> None:
        """Hold."""
        cluster.network.clog(product(self.senders, self.to))

    def end(self, cluster: Cluster) -> None:
        """Let go."""
        cluster.network.unclog(product(self.senders, self.to))


class Weather(Fault, frozen=True):
    """All links are bad: slow, lossy, with a heavy tail, or twofold. Of two at one time the later one counts."""

    delay: tuple[float, float]
    loss: float = 0.0
    tail: float = 0.0
    duplicates: float = 0.0

    def begin(self, cluster: Cluster) -> None:
        """Turn bad."""
        cluster.network.links = Links(self.delay, self.loss, self.tail, self.duplicates)

    def end(self, cluster: Cluster) -> None:
        """Clear up."""
        cluster.network.links = cluster.links


class Sieve(Fault, frozen=True):
    """Messages of some kinds do not reach some hosts: the worst that loss can do to a phase of agreement."""

    kinds: tuple[str, ...]
    """Of `KINDS`."""
    to: tuple[Address, ...]

    def begin(self, cluster: Cluster) -> None:
        """Catch."""
        cluster.network.sieves.append(self.catches)

    def end(self, cluster: Cluster) -> None:
        """Let pass."""
        if self.catches in cluster.network.sieves:
            cluster.network.sieves.remove(self.catches)

    def catches(self, sender: Address, to: Address, frame: bytes) -> bool:
        """Whether a frame is lost. What no honest member sends is not looked into."""
        try:
            return to in self.to and kind_of(frame) in self.kinds
        except ProtocolError:
            return False


KINDS = (
    "first vote", "second vote", "proposal", "commit", "digest", "root", "items", "announce", "pull",
    "petition", "evidence", "manifest", "epochs", "chunk",
)  # fmt: skip


@lru_cache(256)
def kind_of(frame: bytes) -> str:
    """What a frame is, in words; a bundle is what its first part is. Raises `ProtocolError`."""
    message = wire.decode(frame)
    if isinstance(message, Bundle) and message.parts:
        message = wire.decode(message.parts[0])
    if isinstance(message, Votes):
        return "first vote" if message.step == FIRST else "second vote"
    return type(message).__name__.lower()


class Replay(Fault, frozen=True):
    """Old frames arrive once more."""

    frames: int

    def begin(self, cluster: Cluster) -> None:
        """Replay."""
        cluster.network.replay(self.frames)


# --- hosts ---


class Crash(Fault, frozen=True):
    """A host dies before it carries out its next effect but `after`, and comes back with what its disk holds."""

    host: Address
    after: int = 0
    writing: bool = False
    """Die in the first write from there on: what it was to hold is lost, or torn and known for it by its checksum."""

    def begin(self, cluster: Cluster) -> None:
        """Arm."""
        cluster.hosts[self.host].crash_before = _countdown(self.after, self.writing)

    def end(self, cluster: Cluster) -> None:
        """Restart, or disarm if the moment never came."""
        host = cluster.hosts[self.host]
        host.crash_before = never
        if not (host.up or host.lost):
            host.restart()


class Lose(Fault, frozen=True):
    """A host dies and its store is gone: it may sign nothing again under its key. Counts as one of those that are
    tolerated. If it lasts, the host comes back in the end, empty, and asks for its seat under a new key."""

    host: Address
    trusting: bool = False
    """Whether it is told a checkpoint when it comes back."""

    def begin(self, cluster: Cluster) -> None:
        """Lose everything."""
        cluster.hosts[self.host].lose()

    def end(self, cluster: Cluster) -> None:
        """Come back."""
        if cluster.hosts[self.host].lost:
            cluster.replace(cluster.hosts[self.host], trusting=self.trusting)


class Sleep(Fault, frozen=True):
    """A host is down until the others are so many rounds further, or for as long as it lasts."""

    host: Address
    rounds: int

    def begin(self, cluster: Cluster) -> None:
        """Go down, and look now and then how far they are."""
        cluster.hosts[self.host].stop()
        self._wait(cluster, cluster.newest.state.round + self.rounds)

    def _wait(self, cluster: Cluster, round: int) -> None:
        host = cluster.hosts[self.host]
        if host.up or host.lost:
            return
        if cluster.newest.state.round >= round:
            host.restart()
        else:
            cluster.timeline.after(LOOK, partial(self._wait, cluster, round))

    def end(self, cluster: Cluster) -> None:
        """Come back at the latest."""
        host = cluster.hosts[self.host]
        if not (host.up or host.lost):
            host.restart()


class Pause(Fault, frozen=True):
    """A process is stopped and goes on later, as if nothing had happened; frames and timers have piled up."""

    host: Address

    def begin(self, cluster: Cluster) -> None:
        """Stop."""
        cluster.hosts[self.host].paused = cluster.hosts[self.host].up

    def end(self, cluster: Cluster) -> None:
        """Go on."""
        cluster.hosts[self.host].resume()


class Clock(Fault, frozen=True):
    """The monotonic clock of a host is fast or slow. Its wall clock may jump as it likes: no rule knows it."""

    host: Address
    rate: float
    """Its seconds per second."""

    def begin(self, cluster: Cluster) -> None:
        """Run wrong."""
        cluster.hosts[self.host].clock = self.rate

    def end(self, cluster: Cluster) -> None:
        """Run right."""
        cluster.hosts[self.host].clock = 1.0


# --- membership ---


class Join(Fault, frozen=True):
    """A newcomer starts and asks for a seat."""

    trusting: bool = False
    """Whether it is told a checkpoint; else it knows the genesis only."""

    def begin(self, cluster: Cluster) -> None:
        """Start."""
        cluster.join(trusting=self.trusting)


class Leave(Fault, frozen=True):
    """A member asks to give up its seat, and goes on as an observer."""

    host: Address

    def begin(self, cluster: Cluster) -> None:
        """Ask."""
        cluster.leave(cluster.hosts[self.host])


class Rekey(Fault, frozen=True):
    """A member asks for a new key, and goes on under it once it has it."""

    host: Address

    def begin(self, cluster: Cluster) -> None:
        """Ask."""
        cluster.rekey(cluster.hosts[self.host])


AnyFault = (
    Partition | OneWay | Bridge | Clog | Weather | Sieve | Replay | Crash | Lose | Sleep | Pause | Clock
    | Join | Leave | Rekey
)  # fmt: skip
Script = tuple[AnyFault, ...]
"""Faults in order of time."""


def apply(script: Script, cluster: Cluster, until: float = inf) -> None:
    """Plan the faults of a script that begin before `until`; those that last end then at the latest."""
    for fault in script:
        if fault.at < until:
            cluster.timeline.after(fault.at - cluster.now, partial(fault.begin, cluster))
            if fault.lasts:
                cluster.timeline.after(min(fault.at + fault.lasts, until) - cluster.now, partial(fault.end, cluster))
    cluster.network.remembers = any(isinstance(fault, Replay) for fault in script)


def _countdown(effects: int, writing: bool) -> Callable[[Host, Effect], bool]:
    left = effects

    def dies(host: Host, effect: Effect) -> bool:
        nonlocal left
        left -= 1
        return left < 0 and (not writing or isinstance(effect, Persist | Committed))

    return dies


# --- scripts from seeds ---


def draw(random: Random, hosts: int, duration: float, intensity: float) -> Script:
    """A script for `hosts` hosts and `duration` seconds with `intensity` faults a second on average: of those that
    everybody survives."""
    count = max(1, int(intensity * duration * random.uniform(0.5, 1.5)))
    faults: list[AnyFault] = []
    for _ in range(count):
        kind = random.choices(_KINDS, _WEIGHTS)[0]
        at = round(random.uniform(0, duration), 3)
        lasts = round(min(random.expovariate(1 / (0.15 * duration)), duration - at), 3)
        faults += kind(random, hosts, at, lasts)
    return in_order(faults)


def losses(random: Random, duration: float, hosts: Sequence[Address]) -> Iterable[AnyFault]:
    """Each of these hosts loses its store; most come back."""
    for host in hosts:
        at = round(random.uniform(0, 0.8 * duration), 3)
        lasts = round(random.uniform(0.1, duration - at), 3) if random.random() < 0.7 else 0.0
        yield Lose(at=at, lasts=lasts, host=host, trusting=random.random() < 0.5)


def changes(random: Random, duration: float, hosts: int, leaving: Sequence[Address]) -> Iterable[AnyFault]:
    """A change of membership or two. leaving: who may leave; hosts: so many, from the first on, may re-key."""
    for _ in range(random.randint(1, 2)):
        at, kind = round(random.uniform(0, duration), 3), random.choice((Join, Leave, Rekey))
        if kind is Join:
            yield Join(at=at, trusting=random.random() < 0.5)
        elif kind is Rekey:
            yield Rekey(at=at, host=random.randrange(hosts))
        elif leaving:
            yield Leave(at=at, host=leaving[0])
            leaving = leaving[1:]


def in_order(faults: Iterable[AnyFault]) -> Script:
    """Faults as a script."""
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _some(random: Random, hosts: int) -> tuple[Address, ...]:
    return tuple(sorted(random.sample(range(hosts), random.randint(1, hosts - 1))))


def _partition(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    return [Partition(at=at, lasts=lasts, sides=(_some(random, hosts),))]


def _shards(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    side = [random.randrange(3) for _ in range(hosts)]
    sides = tuple(tuple(host for host in range(hosts) if side[host] == number) for number in (1, 2))
    return [Partition(at=at, lasts=lasts, sides=sides)]


def _one_way(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    return [OneWay(at=at, lasts=lasts, senders=_some(random, hosts), to=_some(random, hosts))]


def _bridge(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    order = random.sample(range(hosts), hosts)
    middle = random.randrange(1, hosts)
    return [Bridge(at=at, lasts=lasts, left=tuple(sorted(order[1:middle])), right=tuple(sorted(order[middle:])))]


def _clog(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    return [Clog(at=at, lasts=lasts, senders=_some(random, hosts), to=_some(random, hosts))]


def _weather(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    high = round(random.uniform(0.01, 0.2), 3)
    return [
        Weather(
            at=at,
            lasts=lasts,
            delay=(0.001, high),
            loss=round(random.choice((0.0, random.uniform(0, 0.6))), 3),
            tail=random.choice((0.0, 1.0, 1.5, 3.0)),
            duplicates=round(random.choice((0.0, random.uniform(0, 0.5))), 3),
        )
    ]


def _sieve(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    kinds = random.sample(KINDS[:4], random.randint(1, 3)) + random.sample(KINDS[4:], random.randint(0, 3))
    return [Sieve(at=at, lasts=lasts, kinds=tuple(sorted(kinds)), to=_some(random, hosts))]


def _replay(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    return [Replay(at=at, frames=random.randint(1, 100))]


def _crash(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    after, writing = random.randrange(12), random.random() < 0.3
    return [Crash(at=at, lasts=lasts, host=random.randrange(hosts), after=after, writing=writing)]


def _absence(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    """Away for several times as long as most faults: what is missed has to be caught up with."""
    host, lasts = random.randrange(hosts), round(5 * lasts, 3)
    kind = random.randrange(3)
    if kind == 0:
        return [Crash(at=at, lasts=lasts, host=host)]
    return [Pause(at=at, lasts=lasts, host=host) if kind == 1 else Partition(at=at, lasts=lasts, sides=((host,),))]


def _churn(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    """Many short crashes in a row, all over the place."""
    times = [round(at + random.uniform(0, lasts), 3) for _ in range(random.randint(2, 8))]
    return [
        Crash(
            at=time, lasts=round(random.uniform(0.01, 0.3), 3), host=random.randrange(hosts), after=random.randrange(30)
        )
        for time in times
    ]


def _pause(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    return [Pause(at=at, lasts=lasts, host=random.randrange(hosts))]


def _clock(random: Random, hosts: int, at: float, lasts: float) -> Iterable[AnyFault]:
    return [Clock(at=at, lasts=lasts, host=random.randrange(hosts), rate=round(2 ** random.uniform(-2, 2), 3))]


_KINDS = (
    _partition,
    _shards,
    _one_way,
    _bridge,
    _clog,
    _weather,
    _sieve,
    _replay,
    _crash,
    _absence,
    _churn,
    _pause,
    _clock,
)
_WEIGHTS = (3, 2, 2, 2, 2, 4, 6, 1, 4, 2, 1, 2, 1)
