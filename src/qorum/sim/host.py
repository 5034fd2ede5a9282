"""`Host`: what runs one member in a simulation: its disk, its key, and the order in which effects are carried out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from qorum.core.effects import Committed, Effect, Keep, Persist, Send, SetTimer, Sign, WindowOpened
from qorum.core.member import Member
from qorum.core.messages import Commit
from qorum.core.state import State


@dataclass
class Disk:
    """What a crash leaves behind."""

    record: bytes | None = None
    """The newest `Persist`."""
    kept: tuple[State, Commit] | None = None
    """State and commit of the newest `Committed`."""
    epochs: tuple[Commit, ...] = ()
    """Commits that changed the membership, of all `Committed` so far."""
    payloads: list[Keep] = field(default_factory=list)
    """Every `Keep` since the newest `Committed`."""
    before: bytes | None = None
    """The record that the newest one replaced: what a disk that loses its last write comes back with."""

    def write(self, record: bytes) -> None:
        """Replace the record."""
        self.before, self.record = self.record, record


Event = Callable[[Member], Sequence[Effect]]
"""What happens to a member, and returns what it wants done."""


class World(Protocol):
    """What a host needs of the simulation around it."""

    def send(self, host: Host, effect: Send) -> None:
        """Put a frame on the network."""

    def set_timer(self, host: Host, timer: SetTimer) -> None:
        """Fire a timer after its delay of this host's clock."""

    def window_opened(self, host: Host, round: int) -> None:
        """A round's window opened at this host."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """An effect was carried out; for those who watch."""


NO_SEAT = -1


def never(host: Host, effect: Effect) -> bool:
    """Not to crash."""
    return False


@dataclass(slots=True)
class Host:
    """One process: a member, its disk, and whether it is up."""

    address: int
    """Place in the simulation; a liar's twin has one of its own."""
    seat: int
    """Index of the member it runs, or ran last; `NO_SEAT` before a newcomer is admitted."""
    honest: bool
    world: World
    birth: Callable[[Host], Member]
    """Makes the member from what the disk holds: at the start of a run, and at every restart."""
    sign: Callable[[bytes], bytes]
    disk: Disk = field(default_factory=Disk)
    life: int = 0
    """How often it was restarted; timers of an earlier life never fire."""
    up: bool = True
    paused: bool = False
    """Whether events wait: the process is stopped and will go on as if nothing had happened."""
    clock: float = 1.0
    """Seconds of its monotonic clock per second; no other clock is there to jump."""
    lost: bool = False
    """Whether its store is gone. It may sign nothing, so it never comes back but with a new key."""
    crash_before: Callable[[Host, Effect], bool] = never
    """Asked before every effect; True ends this life there."""
    member: Member = field(init=False)
    _waiting: deque[Effect] = field(default_factory=deque, init=False)
    _missed: deque[Event] = field(default_factory=deque, init=False)
    """Events of a pause."""

    def __post_init__(self) -> None:
        self.member = self.birth(self)

    @property
    def key(self) -> bytes:
        """Public key that it goes by."""
        assert self.member.key is not None
        return self.member.key

    def start(self) -> None:
        """The first event of a life."""
        self.perform(self.member.start())

    def meet(self, event: Event) -> None:
        """Let an event happen to the member: at once, or once a pause is over. A host that is down misses it."""
        if self.up and self.paused:
            self._missed.append(event)
        elif self.up:
            self.perform(event(self.member))

    def perform(self, effects: Sequence[Effect]) -> None:
        """Carry effects out, first in, first out; what one of them leads to comes after those before it."""
        waiting, busy = self._waiting, bool(self._waiting)
        waiting.extend(effects)
        while waiting and not busy and self.up:
            if self.crash_before(self, waiting[0]):
                self.stop()
                return
            self._carry_out(waiting[0])
            if waiting:  # a watcher may have stopped this host
                waiting.popleft()

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Sign):  # the watchers see a signature before what the member makes of it
            signature = self.sign(effect.data)
            self.world.carried_out(self, effect)
            self._waiting.extend(self.member.signed(effect, signature))
            return
        match effect:
            case Send():
                self.world.send(self, effect)
            case SetTimer():
                self.world.set_timer(self, effect)
            case Persist():
                self.disk.write(effect.record)
            case Keep():
                self.disk.payloads.append(effect)
            case Committed():
                self._keep(effect)
            case WindowOpened():
                self.world.window_opened(self, effect.round)
        self.world.carried_out(self, effect)

    def _keep(self, agreed: Committed) -> None:
        self.disk.kept = agreed.state, agreed.commit
        self.disk.epochs += agreed.epochs
        self.disk.payloads.clear()
        seat = agreed.state.roster.seat_of(self.key)
        self.seat = self.seat if seat is None else seat

    # --- faults ---

    def stop(self) -> None:
        """Crash: what was not on disk is gone."""
        self.up = False
        self.paused = False
        self._waiting.clear()
        self._missed.clear()

    def resume(self) -> None:
        """End a pause: what happened meanwhile happens now, in order."""
        self.paused = False
        while self._missed and self.up:
            self.meet(self._missed.popleft())

    def lose(self) -> None:
        """Crash, and the store is gone."""
        self.stop()
        self.lost, self.disk = True, Disk()

    def restart(self) -> None:
        """Come back with what the disk holds."""
        self.up, self.life = True, self.life + 1
        self._waiting.clear()  # a watcher may have ended the life before while it carried out an effect
        self.member = self.birth(self)
        self.start()
