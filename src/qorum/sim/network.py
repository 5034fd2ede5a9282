"""The simulated network: virtual time, links with delay and loss, partitions, and counters of what passed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random


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
    """What every link does to a frame."""

    delay: tuple[float, float] = (0.020, 0.080)
    """One way, seconds, uniform between these."""
    loss: float = 0.0
    """Share of frames that vanish."""


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

    def __post_init__(self) -> None:
        self.traffic = [Traffic() for _ in range(self.members)]
        self._side = [0] * self.members
        self._stopped: set[int] = set()

    def send(self, sender: int, to: Sequence[int], frame: bytes) -> None:
        """Send one frame to each of some members."""
        if sender in self._stopped:
            return
        low, high = self.links.delay
        for peer in to:
            if self.links.loss and self.random.random() < self.links.loss:
                self.frames_lost += 1
                continue
            self.timeline.after(low + (high - low) * self.random.random(), _Arrival(self, peer, sender, frame))

    def arrive(self, to: int, sender: int, frame: bytes) -> None:
        """The end of a link. What is cut or stopped while a frame is under way swallows it."""
        if self._side[to] != self._side[sender] or to in self._stopped:
            self.frames_lost += 1
            return
        traffic = self.traffic[to]
        traffic.frames += 1
        traffic.bytes += len(frame)
        self.deliver(to, sender, frame)

    def partition(self, *sides: Sequence[int]) -> None:
        """Let only members of one side hear each other; those not named form a side of their own."""
        self._side = [0] * self.members
        for number, side in enumerate(sides, start=1):
            for member in side:
                self._side[member] = number

    def heal(self) -> None:
        """Let everybody hear everybody again."""
        self._side = [0] * self.members

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
