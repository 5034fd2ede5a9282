"""`ZenohConnection`: a connection over Zenoh: two keys, one each way, under which sealed messages are published.

Theory of operation. Whoever is attached to the network may publish and subscribe under any key, so a message counts
only if the `Seal` says that the other end has sent it, as the next one. The first byte of each says what it is: DATA;
TAKEN, bytes that its reader has taken, of which no more than WINDOW are on their way at any time, so that a slow reader
slows down those who write to it and nobody else; or BYE and the reason. Each end also holds a token of Zenoh's
liveliness, which goes when its process or the path to it does: then the connection is over at the other end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any

from zenoh import CongestionControl, Sample, SampleKind, Session, ZError
from zenoh.handlers import Callback

from qorum.node.envelope import ENVELOPE_LIMIT
from qorum.node.inbox import Inbox, cost
from qorum.node.refused import Reason, Refused
from qorum.node.seal import SEAL_BYTES, Lost, Seal
from qorum.node.transport import Closed

DATA, TAKEN, BYE = b"\0", b"\1", b"\2"
SEALED_LIMIT = 1 + ENVELOPE_LIMIT + SEAL_BYTES
"""Bytes of a message on its way."""
WINDOW = 8 * ENVELOPE_LIMIT
"""Bytes that may be on their way, or wait for their reader, with what each message takes up beyond its own."""
SPARE = 1 << 14
"""Bytes beside these for what is no data."""
CONNECT_S = 20.0
"""Seconds that the other end has to be there."""
CLOSE_S = 1.0
"""Seconds that the other end has to answer a BYE, and Zenoh to forget the connection."""
COUNT_BYTES = 8


class ZenohConnection:
    """One connection. Made in an event loop, and used there; Zenoh calls back in threads of its own."""

    is_private = True
    """By its seal, whatever is in between."""

    def __init__(
        self, session: Session, mine: str, theirs: str, peer: str, seal: Seal, forged: Callable[[], None]
    ) -> None:
        """mine, theirs: keys that the two ends receive by. forged: called, in any thread, for what others put there."""
        self.peer, self.certificate = peer, seal.binding
        self._session, self._mine, self._theirs, self._seal, self._forged = session, mine, theirs, seal, forged
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(WINDOW + SPARE)
        self._opening = Lock()
        # What it asks of Zenoh may have to wait, in order: a thread of its own, so that nobody else does.
        self._thread = ThreadPoolExecutor(1, "zenoh-link")
        self._declared: list[Any] = []
        self._met, self._room = asyncio.Event(), asyncio.Event()
        self._on_way = self._taken = 0
        """Bytes sent that the other end has not taken; bytes taken that it has not been told of."""
        self._closing = False

    # --- life ---

    async def open(self) -> None:
        """Be there for the other end. Raises `Closed`."""
        await self._loop.run_in_executor(self._thread, self._declare)
        self._loop.call_later(CONNECT_S, self._give_up)
        self._check()

    def _declare(self) -> None:
        """In a thread. The token comes last: whoever sees it can be sure of the subscription."""
        session = self._session
        try:
            self._publisher = session.declare_publisher(self._theirs, congestion_control=CongestionControl.BLOCK)
            self._declared.append(self._publisher)
            hear = Callback(self._on_sample, None, indirect=False)
            self._declared.append(session.declare_subscriber(self._mine, hear))
            liveliness, watch = session.liveliness(), Callback(self._on_token, None, indirect=False)
            self._declared.append(liveliness.declare_subscriber(self._theirs, watch, history=True))
            self._declared.append(liveliness.declare_token(self._mine))
        except ZError as error:
            self._end(Closed(f"no session: {why_of(error)}"))

    async def met(self) -> None:
        """Wait until the other end is there. Raises `Closed`."""
        await self._met.wait()
        self._check()

    def _give_up(self) -> None:
        if not self._met.is_set():
            self._end(Closed("no answer in time"))

    def _end(self, why: Exception) -> None:
        """It is over. From any thread; the first reason stays."""
        self._inbox.end(why)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._met.set()
        self._room.set()

    def _check(self) -> None:
        if (why := self._inbox.over) is not None:
            raise Closed(str(why))

    # --- sending ---

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other end is slow. Raises `Closed`."""
        await self.met()  # what is published before there is a subscription is lost
        while self._on_way and self._on_way + cost(message) > WINDOW:
            self._room.clear()
            await self._room.wait()
            self._check()
        self._on_way += cost(message)
        await self._post(DATA + message)
        self._check()

    def _post(self, message: bytes) -> asyncio.Future[None]:
        """Sealed here and now, published in this order."""
        return self._loop.run_in_executor(self._thread, self._publish, self._seal.close(message))

    def _publish(self, sealed: bytes) -> None:
        try:
            self._publisher.put(sealed)
        except ZError as error:
            self._end(Closed(why_of(error)))

    # --- receiving ---

    async def receive(self) -> bytes:
        """The next message. Raises `Closed`, and `Refused` for one that breaks the rules of the connection."""
        while True:
            message = await self._inbox.get()
            kind, body = message[:1], message[1:]
            if kind == DATA:
                self._tell_taken(cost(body))
                return body
            if kind == TAKEN:
                self._give_room(body)
            elif kind == BYE:
                self._end(closed := Closed(_said(body)))
                raise closed
            else:
                raise Refused(Reason.MALFORMED, "a message of no kind")

    def _tell_taken(self, size: int) -> None:
        self._taken += size
        if self._taken >= WINDOW // 4 and not self._closing:
            self._post(TAKEN + self._taken.to_bytes(COUNT_BYTES, "big"))
            self._taken = 0

    def _give_room(self, body: bytes) -> None:
        count = int.from_bytes(body[:COUNT_BYTES], "big")
        if len(body) != COUNT_BYTES or count > self._on_way:
            raise Refused(Reason.MALFORMED, "it takes more than it was sent")
        self._on_way -= count
        self._room.set()

    def _on_sample(self, sample: Sample) -> None:
        """In a thread of Zenoh: what is not from the other end goes no further, and takes up nothing."""
        if sample.kind != SampleKind.PUT or len(sample.payload) > SEALED_LIMIT:
            self._forged()
            return
        with self._opening:
            try:
                message = self._seal.open(sample.payload.to_bytes())
            except Lost as lost:
                self._end(Closed(str(lost)))
                return
            if message is None:
                self._forged()
            elif not self._inbox.put(message):
                self._end(Refused(Reason.TOO_FAST, f"more than {WINDOW} bytes before they were taken"))

    def _on_token(self, sample: Sample) -> None:
        """In a thread of Zenoh: the other end is there, or gone."""
        if sample.kind == SampleKind.DELETE:
            self._end(Closed("connection lost"))
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._met.set)

    # --- ending ---

    async def close(self, why: str) -> None:
        """End it and tell the other end why, in at most a second or two."""
        if self._closing:
            return
        self._closing = True
        try:
            with suppress(Closed, Refused, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._farewell(why)
        finally:
            self._end(Closed("it was closed here"))
            undeclared = self._loop.run_in_executor(self._thread, self._undeclare)
            self._thread.shutdown(wait=False)
            await asyncio.wait([undeclared], timeout=CLOSE_S)

    async def _farewell(self, why: str) -> None:
        """Until the other end has answered, by going. The token must not go first: it would overtake what was said."""
        await self.met()
        await self._post(BYE + why.encode()[:120])
        while True:
            await self.receive()

    def _undeclare(self) -> None:
        for declared in reversed(self._declared):
            with suppress(ZError):
                declared.undeclare()


def why_of(error: ZError) -> str:
    """What Zenoh says, without the places in its source."""
    return re.sub(r" at \S+\.rs:\d+\.?", "", str(error))


def _said(body: bytes) -> str:
    """The reason in a BYE, if a terminal can show it."""
    why = body[:120].decode(errors="replace")
    return why if why and why.isprintable() else "connection lost"
