"""`Host`: what runs one member on asyncio: its disk, its key, its timers, and the order in which effects happen.

Events happen to the member as they come; what it wants done waits in line behind what it wanted before. A write holds
the line up until the disk has it, so nothing is signed or sent that a restart would not remember. Writes in a row are
waited for together: the store makes them durable in order. All of it runs in one event loop and needs no lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Protocol

from qorum.core import wire
from qorum.core.effects import (
    Blame,
    Committed,
    Effect,
    Equivocation,
    Keep,
    Persist,
    Send,
    SetTimer,
    Sign,
    Timer,
    WindowOpened,
)
from qorum.core.member import Member
from qorum.core.messages import Contribution, Kind
from qorum.core.state import State
from qorum.core.status import status
from qorum.core.table import NO_SEAT, FederatedQTable, SyncResult
from qorum.errors import StoreError
from qorum.identity import Signer
from qorum.node.pace import Pace
from qorum.node.timers import Timers

LINE = 4096
"""Effects that may wait for the disk; with more, frames of others are dropped: gossip brings them again."""

GRACE_S = 0.2
"""Longest wait for a leader that no link leads to."""

log = logging.getLogger("qorum.node")

Written = Future[None]
"""Done once it is on the disk; its exception is a `StoreError`."""


class Disk(Protocol):
    """Where members make durable what they must not forget. Writes become durable in the order they are made."""

    @property
    def failed(self) -> str | None:
        """Why nothing can be written any more."""

    def persist(self, key: bytes, record: bytes) -> Written:
        """Keep a member's record in place of the one before."""

    def keep(self, key: bytes, keep: Keep) -> Written:
        """Keep a payload until the next commit."""

    def committed(self, key: bytes, committed: Committed) -> Written:
        """Keep an agreed state with its proof."""

    def experience(self, key: bytes, experience: bytes) -> Written:
        """Keep an agent's own experience."""


class Witness(Protocol):
    """Whoever is told what happens at the hosts of a node."""

    def agreed(self, host: Host, committed: Committed, latencies: Sequence[float]) -> None:
        """A round is agreed and durable. latencies: seconds since each own contribution that it took."""

    def blamed(self, host: Host, blame: Blame) -> None:
        """A peer sent what no honest member sends."""

    def equivocated(self, host: Host, proof: Equivocation) -> None:
        """A member signed two bodies for one slot."""

    def failed(self, host: Host, reason: str) -> None:
        """This host has stopped: it can no longer make durable what it does."""

    def reaches(self, member: int) -> bool:
        """Whether a member is hosted here, or a link leads to it."""


Route = Callable[[bytes, tuple[int, ...], bytes], None]
"""(public key of the sender, to, frame): put a frame on its way; returns at once."""


class Host:
    """One member of the federation, its table, and its agent."""

    def __init__(
        self,
        table: FederatedQTable,
        identity: Signer,
        disk: Disk,
        route: Route,
        witness: Witness,
        random: Random,
    ) -> None:
        """`start` it in a running event loop."""
        self.table = table
        self.member: Member = table.member
        self.dropped = 0
        """Frames that came while too much was waiting for the disk."""
        self.watch: Callable[[], None] = lambda: None
        """Told after each event."""
        self.failure: str | None = None
        """Why it has stopped by itself."""
        self._identity, self._disk, self._route, self._witness = identity, disk, route, witness
        self._up = False
        self._line: deque[Effect] = deque()
        self._awaited: list[Effect] = []
        """What the disk, or the key, is busy with; nothing else is carried out meanwhile."""
        self._timers = Timers(self._fire)
        self._sent: dict[int, float] = {}
        """Seq -> when that contribution was made, until a round takes it."""
        self._waiters: list[tuple[int, asyncio.Future[bool]]] = []
        """(round, who waits for a newer one)."""
        self._idle: list[asyncio.Future[None]] = []
        self._postponed = False
        """Whether to contribute once what was said before is signed."""
        self._dumped_at = 0
        """Interactions of the agent when its experience was last written."""
        self._pace = Pace(table, partial(self._contribute, only_news=True), random)

    @property
    def me(self) -> int:
        """Index of the member; `NO_SEAT` while it has none."""
        return self.table.me

    @property
    def key(self) -> bytes:
        """Public key of the member."""
        return self._identity.public_key

    # --- life ---

    def start(self) -> None:
        """Begin, or go on after a restart."""
        self._loop = asyncio.get_running_loop()
        self._up = True
        self._dumped_at = self.table.agent.interactions
        with self._fatal():
            self._perform(self.member.start())
            self._pace.start(self._loop)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Carry out what is in line, write down the agent's experience, and end. Waits at most `timeout_s`."""
        if self._up:
            self._pace.stop()
            self._timers.cancel()
            written = self._remember()
            with suppress(TimeoutError, StoreError):
                async with asyncio.timeout(timeout_s):
                    await self._drained()
                    if written is not None:
                        await asyncio.wrap_future(written)
        self.abandon()

    def abandon(self) -> None:
        """End here and now: what is not on the disk is lost, as in a crash."""
        self._up = False
        self._pace.stop()
        self._timers.cancel()
        self._line.clear()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(False)
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)

    def _fail(self, reason: str) -> None:
        """Sign and send nothing more. Whoever cannot remember what it said may contradict itself."""
        if self._up:
            self.failure = reason
            self.abandon()
            self._witness.failed(self, reason)

    async def _drained(self) -> None:
        while self._up and (self._line or self._awaited):
            idle = self._loop.create_future()
            self._idle.append(idle)
            await idle

    def go_on_as(self, identity: Signer, member: Member) -> None:
        """Another key has the seat now: speak with it. See `FederatedQTable.go_on_as`.

        Nothing of what waits in line for the old key is said any more; what is agreed on is still written down, for
        the new one.
        """
        self._timers.cancel()
        self._line = deque(effect for effect in self._line if isinstance(effect, Committed))
        self._sent.clear()
        self._identity, self.member = identity, member
        with self._fatal():
            self.table.go_on_as(member)
            self._perform(member.start())

    # --- events ---

    def receive(self, sender: int, frame: bytes) -> None:
        """A frame has come from a member."""
        if len(self._line) > LINE:
            self.dropped += 1
        elif self._up:
            with self._fatal():
                self._perform(self.member.receive(sender, frame))

    def lost(self, members: Collection[int]) -> None:
        """No link leads to these any more: who waits for a leader among them waits in vain."""
        consensus = self.member.consensus
        if self._up and consensus.leader(consensus.term) in members:
            self._timers.hasten(Timer.PROPOSE)

    def meet(self, event: Callable[[Member], Sequence[Effect]]) -> None:
        """Let something else happen to the member, as a petition. Raises `StoreError` if this host has stopped.

        Also raises what the event does.
        """
        self._check_up()
        effects = event(self.member)
        with self._fatal():
            self._perform(effects)

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """What ought not to happen ends this host: half of an event is worse than none."""
        try:
            yield
        except Exception as error:
            log.exception("error inside", extra={"facts": {"member": self.me}})
            self._fail(f"error inside: {type(error).__name__}: {error}")

    def lived(self) -> None:
        """The agent has learned: contribute if that makes enough interactions."""
        if self._up:
            self._pace.lived()

    async def sync(self, timeout_s: float = 10.0) -> SyncResult:
        """Contribute, wait until a round is agreed or `timeout_s` has passed, and report.

        Raises `StoreError` if this host has stopped, because its store failed or its node is shut down.
        """
        self._check_up()
        agreed = self._loop.create_future()
        self._waiters.append((self.member.state.round, agreed))
        self._contribute()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await agreed
        self._waiters = [waiter for waiter in self._waiters if waiter[1] is not agreed]
        self._check_up()
        return self.table.result(agreed.done() and not agreed.cancelled() and agreed.result())

    def _check_up(self) -> None:
        if not self._up:
            raise StoreError(f"member {self.me} takes no part any more: {self.failure or 'its node is shut down'}")

    def status(self) -> str:
        """One line: what the member does or waits for."""
        if self.failure is not None:
            return f"{self.failure}; signs nothing any more, restart the node once that is repaired"
        if len(self._line) > LINE:
            return f"waiting for the disk, with {len(self._line)} effects in line; {self.dropped} frames dropped so far"
        return status(self.member) if self._up else "stopped"

    @property
    def is_up(self) -> bool:
        """Whether it takes part."""
        return self._up

    # --- effects ---

    def _perform(self, effects: Sequence[Effect]) -> None:
        self._line.extend(effects)
        if not self._awaited:
            self._go_on()
        self.watch()

    def _go_on(self) -> None:
        """Carry effects out, first in, first out, up to the next that has to be written."""
        line = self._line
        while line and self._up and not self._awaited:
            if isinstance(line[0], Persist | Keep | Committed):
                self._write()
                return
            self._carry_out(line.popleft())
        if self._awaited:
            return
        if self._postponed and self.table.may_contribute:
            self._postponed = False
            self._contribute()
        while self._idle and not line:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._route(self.key, effect.to, effect.frame)
            case SetTimer():
                self._timers.set(self._loop, self._worth(effect))
            case Sign():
                self._sign(effect)
            case WindowOpened():
                self._pace.soon(partial(self._join, effect.round))
            case Blame():
                self._witness.blamed(self, effect)
            case Equivocation():
                self._witness.equivocated(self, effect)

    def _worth(self, timer: SetTimer) -> SetTimer:
        """Hardly anything is, where it is a leader that is waited for and no link leads there."""
        consensus = self.member.consensus
        if timer.name is not Timer.PROPOSE or self._witness.reaches(consensus.leader(consensus.term)):
            return timer
        return replace(timer, delay=min(timer.delay, GRACE_S))

    def _fire(self, effect: SetTimer) -> None:
        if self._up:
            with self._fatal():
                self._perform(self.member.timer(effect))

    # --- signing ---

    def _sign(self, request: Sign) -> None:
        signature = self._identity.sign(request.data)
        if isinstance(signature, bytes):
            self._line.extend(self.member.signed(request, signature))
        else:
            self._awaited.append(request)
            signing = asyncio.ensure_future(signature)
            signing.add_done_callback(partial(self._on_signed, request, self._identity))

    def _on_signed(self, request: Sign, by: Signer, signing: asyncio.Future[bytes]) -> None:
        self._awaited.remove(request)
        error = None if signing.cancelled() else signing.exception()
        if error is not None:
            self._fail(f"key failed: {error}")
        elif self._up:
            with self._fatal():
                if by is self._identity and not signing.cancelled():
                    self._line.extend(self.member.signed(request, signing.result()))
                self._go_on()

    # --- writing ---

    def _write(self) -> None:
        """Write all that is next in line and has to be durable before what follows it."""
        line, last = self._line, None
        while line and isinstance(effect := line[0], Persist | Keep | Committed):
            line.popleft()
            self._awaited.append(effect)
            last = self._store(effect)
        assert last is not None
        last.add_done_callback(self._tell_loop)

    def _store(self, effect: Persist | Keep | Committed) -> Written:
        match effect:
            case Persist():
                return self._disk.persist(self.key, effect.record)
            case Keep():
                return self._disk.keep(self.key, effect)
            case Committed():
                written = self._disk.committed(self.key, effect)
                self.table.on_committed(effect)  # meanwhile
                return written

    def _tell_loop(self, written: Written) -> None:
        """In the thread of the store: hand its answer over."""
        with suppress(RuntimeError):  # the loop is closed, as after a crash
            self._loop.call_soon_threadsafe(self._on_written, written)

    def _on_written(self, written: Written) -> None:
        error = written.exception()
        done, self._awaited = self._awaited, []
        if error is not None:
            self._fail(f"store failed: {error}")
        elif self._up:
            with self._fatal():
                for effect in done:
                    if isinstance(effect, Committed):
                        self._agreed(effect)
                self._go_on()

    def _agreed(self, committed: Committed) -> None:
        """A round is agreed and durable."""
        self._witness.agreed(self, committed, self._latencies(committed.state))
        for round, waiter in self._waiters:
            if committed.state.round > round and not waiter.done():
                waiter.set_result(True)
        self._pace.lived()

    def _latencies(self, state: State) -> list[float]:
        """Seconds since each own contribution that `state` holds and that was not counted yet."""
        if self.me == NO_SEAT or self.me >= len(state.heads):
            return []
        now, head = self._loop.time(), state.heads[self.me].seq
        return [now - self._sent.pop(seq) for seq in [seq for seq in self._sent if seq <= head]]

    # --- contributions ---

    def _join(self, round: int) -> None:
        """Join a round that others opened, unless this member already has."""
        member = self.member
        has_joined = self.me in member.streams.ahead or not self.table.may_contribute
        if self._up and member.consensus.round == round and not has_joined:
            self._contribute()

    def _contribute(self, *, only_news: bool = False) -> None:
        """State the agent's evidence now, or once all that was stated before is signed."""
        if not self.table.may_contribute:
            self._postponed = True  # for a newcomer: until it has a seat
            return
        with self._fatal():
            self._say(only_news)

    def _say(self, only_news: bool) -> None:
        self._remember()  # durable before the contribution leaves, which is next in line
        effects = self.table.contribute(only_news=only_news)
        if self.table.said_news:
            self._note_sent(effects)
        self._perform(effects)
        self._pace.contributed()

    def _note_sent(self, effects: Sequence[Effect]) -> None:
        """Remember when something was said. What says nothing new opens no round, so its wait is no measure."""
        for effect in effects:
            if isinstance(effect, Sign) and effect.kind is Kind.CONTRIBUTION:
                self._sent[wire.decode_body(Contribution, effect.body).seq] = self._loop.time()

    def _remember(self) -> Written | None:
        """Write down what the agent has seen, if that is more than is written."""
        agent = self.table.agent
        if agent.interactions == self._dumped_at:
            return None
        self._dumped_at = agent.interactions
        return self._disk.experience(self.key, agent.dump())
