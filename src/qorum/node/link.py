"""`Link`: a connection to a node that has proven whom it hosts, with what waits for it and what it may send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from qorum.core.roster import MAX_SEATS
from qorum.node.budget import GUEST_SHARE, PACE, PACE_S, SPARE, STALL_S, Budgets, Flow
from qorum.node.counts import Counts
from qorum.node.hello import Peer
from qorum.node.outbox import Outbox
from qorum.node.refused import Reason, Refused
from qorum.node.transport import Closed, Connection

OnMessage = Callable[["Link", bytes], None]
"""What to do with a message that came; may raise `Refused`."""


class Owed(NamedTuple):
    """Seconds until budgets that were used up are paid back: by the other end, and by this one."""

    received_s: float
    sent_s: float


class Link:
    """One link. `run` it in the event loop it was made in."""

    def __init__(
        self, connection: Connection, peer: Peer, *, dialled: bool, budgets: Budgets, metrics: Counts
    ) -> None:
        """dialled: whether this node has made the connection."""
        self.connection, self.keys, self.dialled = connection, peer.keys, dialled
        self.ids: tuple[int, ...] = ()
        """What those it proves go by here, in the order of its proof: seats, and ids of guests beyond them."""
        self.first_guest = 0
        """Of the ids of those without a seat."""
        self.modest = False
        """Whether this node has claimed no seats, so that the other end takes little of it."""
        self.since = time.monotonic()
        self.outbox = Outbox(budgets.queue_bytes)
        self.sent_bytes = self.received_bytes = 0
        self._hello, self._budgets, self._metrics = peer.hello, budgets, metrics
        self._takes = self._sends = Flow(1.0, 1.0, 0.0, self.since)
        """Until `allow` says how much."""
        self._over: asyncio.Future[Refused | Closed | None] = asyncio.get_running_loop().create_future()

    @property
    def members(self) -> tuple[int, ...]:
        """Seats that it proves."""
        return tuple(id for id in self.ids if id < MAX_SEATS)

    @property
    def member_keys(self) -> tuple[bytes, ...]:
        """Keys of these."""
        return tuple(key for key, id in zip(self.keys, self.ids, strict=True) if id < MAX_SEATS)

    def allow(self, ids: tuple[int, ...], mine: tuple[int, ...], owed: Owed | None = None) -> None:
        """Take as much as is due to who is there, and send as much as is due to who is here.

        owed: of earlier links; else what has been used up of this one is still to be paid back.
        """
        now = time.monotonic()
        owed = owed or self.owed(now)
        self.ids = ids
        takes, sends = shares(ids), PACE * shares(() if self.modest else mine)
        theirs, ours = self._hello, self._budgets
        self._takes = Flow(
            takes * ours.bytes_per_second,
            takes * ours.messages_per_second,
            STALL_S,
            now,
            spare=SPARE,
            owed_s=owed.received_s,
        )
        self._sends = Flow(
            sends * theirs.bytes_per_second, sends * theirs.messages_per_second, PACE_S, now, owed_s=owed.sent_s
        )

    def owed(self, now: float) -> Owed:
        """What is still to be paid back."""
        return Owed(self._takes.owed_s(now), self._sends.owed_s(now))

    def put(self, message: bytes) -> None:
        """Send a message once its turn comes; the oldest that wait are dropped if there are too many."""
        dropped = self.outbox.put(message)
        if dropped:
            self._metrics.dropped.labels("queue").inc(dropped)

    def end(self, why: Refused | Closed) -> None:
        """Make `run` end with this reason."""
        if not self._over.done():
            self._over.set_result(why)

    async def ended(self) -> None:
        """Wait until it is over."""
        await asyncio.wait([self._over])

    async def run(self, on_message: OnMessage) -> None:
        """Carry messages until it is over: raises `Closed` or `Refused`, which say why."""
        tasks = [asyncio.create_task(self._read(on_message)), asyncio.create_task(self._write())]
        try:
            waits: list[asyncio.Future[Any]] = [*tasks, self._over]
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                if why := ended.result():
                    raise why
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not self._over.done():
                self._over.set_result(None)

    async def _read(self, on_message: OnMessage) -> None:
        while True:
            message = await self.connection.receive()
            self.received_bytes += len(message)
            self._count("in", len(message))
            if not self._takes.take(len(message), time.monotonic()):
                raise Refused(Reason.TOO_FAST, "it sends more than this node has said that it takes")
            on_message(self, message)

    async def _write(self) -> None:
        while True:
            message = await self.outbox.get()
            await self.connection.send(message)
            self.sent_bytes += len(message)
            self._count("out", len(message))
            # Also where nothing is owed: others get a turn, and the loop may notice that the connection is lost.
            await asyncio.sleep(self._sends.owe(len(message), time.monotonic()))

    def _count(self, direction: str, size: int) -> None:
        self._metrics.bytes.labels(direction).inc(size)
        self._metrics.messages.labels(direction).inc()


def shares(ids: tuple[int, ...]) -> float:
    """How many members' worth of messages these may send together; all guests of a node are worth one."""
    members = sum(id < MAX_SEATS for id in ids)
    return members or GUEST_SHARE
