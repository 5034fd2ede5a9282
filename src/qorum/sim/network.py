"""The simulated network: virtual time, links and what may go wrong on them, partitions, and counters of what passed."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

REMEMBERED = 256
"""Old frames kept for replay."""
SLOWEST = 50.0
"""A heavy tail ends at this many times the largest delay of the links."""


class Timeline:
    """Events in order of virtual time [s]; those due at one instant happen in the order they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Plan an action `delay` seconds from now."""
        self._planned += 1
        heapq.heappush(self._due, (self.now + delay, self._planned, action))

    def step(self) -> bool:
        """Let the next event happen; False if there is none."""
        if not self._due:
            return False
        self.now, _, action = heapq.heappop(self._due)
        action()
        return True


@dataclass(frozen=True)
class Links:
    """What every link does to a frame. Frames overtake each other as their delays fall."""

    delay: tuple[float, float] = (0.020, 0.080)
    """One way, seconds, uniform between these."""
    loss: float = 0.0
    """Share of frames that vanish."""
    tail: float = 0.0
    """Exponent of a Pareto factor on the delay: 3 is mild, 1 has no mean; 0 for none. At most `SLOWEST` times."""
    duplicates: float = 0.0
    """Share of frames that arrive twice, each with a delay of its own."""


@dataclass
class Traffic:
    """What one member received."""

    frames: int = 0
    bytes: int = 0


@dataclass
class Network:
    """Carries frames between members, each link on its own."""

    timeline: Timeline
    links: Links
    random: Random
    members: int
    deliver: Callable[[int, int, bytes], None]
    """Called with (to, sender, frame)."""
    traffic: list[Traffic] = field(init=False)
    frames_lost: int = 0
    remembers: bool = False
    """Whether some old frames are kept, to be replayed."""

    def __post_init__(self) -> None:
        self.traffic = [Traffic() for _ in range(self.members)]
        self._side = [0] * self.members
        self._stopped: set[int] = set()
        self._blocked: Counter[tuple[int, int]] = Counter()
        self._clogged: Counter[tuple[int, int]] = Counter()
        self._held: dict[tuple[int, int], list[bytes]] = {}
        """(sender, to) -> frames that wait on a clogged link."""
        self._old: list[tuple[int, int, bytes]] = []
        self.sieves: list[Callable[[int, int, bytes], bool]] = []
        """Each is asked about (sender, to, frame); what one of them catches is lost."""

    def send(self, sender: int, to: Sequence[int], frame: bytes) -> None:
        """Send one frame to each of some members."""
        if sender in self._stopped:
            return
        for peer in to:
            if self.links.loss and self.random.random() < self.links.loss:
                self.frames_lost += 1
                continue
            if self.sieves and any(catches(sender, peer, frame) for catches in self.sieves):
                self.frames_lost += 1
                continue
            self._carry(sender, peer, frame)
            if self.links.duplicates and self.random.random() < self.links.duplicates:
                self._carry(sender, peer, frame)

    def _carry(self, sender: int, peer: int, frame: bytes) -> None:
        low, high = self.links.delay
        delay = low + (high - low) * self.random.random()
        if self.links.tail:
            delay = min(delay * self.random.paretovariate(self.links.tail), SLOWEST * high)
        self.timeline.after(delay, _Arrival(self, peer, sender, frame))

    def arrive(self, to: int, sender: int, frame: bytes) -> None:
        """The end of a link. What is cut or stopped while a frame is under way swallows it."""
        blocked = self._blocked and self._blocked.get((sender, to))
        if blocked or self._side[to] != self._side[sender] or to in self._stopped:
            self.frames_lost += 1
            return
        if self._clogged and self._clogged.get((sender, to)):
            self._held.setdefault((sender, to), []).append(frame)
            return
        if self.remembers:
            self._remember(to, sender, frame)
        traffic = self.traffic[to]
        traffic.frames += 1
        traffic.bytes += len(frame)
        self.deliver(to, sender, frame)

    def grow(self) -> int:
        """One member more; returns its address."""
        self.members += 1
        self.traffic.append(Traffic())
        self._side.append(0)
        return self.members - 1

    # --- cuts ---

    def partition(self, *sides: Sequence[int]) -> None:
        """Let only members of one side hear each other; those not named form a side of their own."""
        self._side = [0] * self.members
        for number, side in enumerate(sides, start=1):
            for member in side:
                self._side[member] = number

    def block(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Swallow what goes from the first to the second of each pair. Blocks add up; `unblock` ends one of them."""
        self._blocked.update(pairs)

    def unblock(self, pairs: Iterable[tuple[int, int]]) -> None:
        """End a block; nothing happens where it has ended already."""
        self._blocked -= Counter(pairs)

    def clog(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Hold what goes from the first to the second of each pair, until `unclog`."""
        self._clogged.update(pairs)

    def unclog(self, pairs: Iterable[tuple[int, int]]) -> None:
        """End a clog: everything held arrives at once, in order."""
        self._clogged -= Counter(pairs)
        free = [pair for pair in self._held if not self._clogged.get(pair)]
        for sender, to in free:
            for frame in self._held.pop((sender, to)):
                self.timeline.after(0, _Arrival(self, to, sender, frame))

    def heal(self) -> None:
        """Let everybody hear everybody again; what clogged links hold arrives."""
        self._side = [0] * self.members
        self._blocked.clear()
        self.sieves.clear()
        self.unclog(list(self._clogged.elements()))

    # --- replay ---

    def _remember(self, to: int, sender: int, frame: bytes) -> None:
        if len(self._old) < REMEMBERED:
            self._old.append((to, sender, frame))
        else:
            self._old[self.random.randrange(REMEMBERED)] = (to, sender, frame)

    def replay(self, frames: int) -> None:
        """Let some of the old frames that are remembered arrive once more."""
        for to, sender, frame in self.random.sample(self._old, min(frames, len(self._old))):
            self._carry(sender, to, frame)

    # --- members ---

    def stop(self, member: int) -> None:
        """Silence a member for good: nothing reaches or leaves it."""
        self._stopped.add(member)

    def is_stopped(self, member: int) -> bool:
        """Whether a member was stopped."""
        return member in self._stopped


class _Arrival:
    """A frame under way. A class with slots takes half the memory of a closure, and millions of them are planned."""

    __slots__ = ("_frame", "_network", "_sender", "_to")

    def __init__(self, network: Network, to: int, sender: int, frame: bytes) -> None:
        self._network, self._to, self._sender, self._frame = network, to, sender, frame

    def __call__(self) -> None:
        self._network.arrive(self._to, self._sender, self._frame)
