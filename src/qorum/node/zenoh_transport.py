"""Zenoh as a `Transport`: nodes find each other by liveliness tokens, and make connections through whatever routers.

Under `PREFIX/FEDERATION/`, a node holds the token `node/ID` and answers queries at `dial/ID`, where ID is made anew
each time it starts; a connection has `link/ID/dialler` and `link/ID/listener`. To dial is to ask a query: it holds a
name for the connection and the dialler's half of its keys, and the answer holds the listener's half.

Nothing that Zenoh carries is believed: who holds a token, asks or answers is shown by the handshake alone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from threading import BoundedSemaphore
from typing import Annotated

import msgspec
from msgspec import Meta

from qorum.errors import ConfigError, MissingExtra

try:
    import zenoh
    from zenoh.handlers import Callback
except ImportError as error:
    raise MissingExtra("eclipse-zenoh", "zenoh", "a node with [zenoh]") from error

from qorum.node.backoff import Backoff
from qorum.node.config import Zenoh
from qorum.node.metrics import Metrics
from qorum.node.refusals import Refusals
from qorum.node.refused import Reason, Refused
from qorum.node.seal import Exchange
from qorum.node.transport import Accept, Closed, Seen
from qorum.node.zenoh_connection import CONNECT_S, SEALED_LIMIT, ZenohConnection, why_of
from qorum.node.zenoh_settings import settings_of

VERSION = 1
DIAL_LIMIT = 256
"""Bytes of what a dialler asks."""
DIALS = 256
"""Dials that are being answered; more at a time are told to come again."""
WORKERS = 4
"""Threads for what may have to wait for Zenoh."""
STOP_S = 2.0
OVERHEAD = 1 << 12
"""Bytes that Zenoh adds to a message, at most."""

Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Half = Annotated[bytes, Meta(min_length=32, max_length=32)]

log = logging.getLogger("qorum.node")


class Dial(msgspec.Struct, frozen=True, array_like=True):
    """What a dialler asks. Later versions may add fields."""

    version: int
    node: Id
    """Of the dialler; for people."""
    link: Id
    """Name of the new connection,"""
    half: Half
    """and the dialler's half of its keys."""


class ZenohTransport:
    """The transport. An address is the id of a node."""

    def __init__(self, config: Zenoh, federation: bytes, metrics: Metrics, *, insecure: bool) -> None:
        """insecure: whether to speak plain text where others could attach. Raises `ConfigError`."""
        self._settings = settings_of(config, SEALED_LIMIT + OVERHEAD, insecure=insecure)
        self._must_come_up = config.mode == "peer"
        self.id = secrets.token_hex(16)
        """Of this node, until it ends."""
        self._root = f"{config.prefix}/{federation.hex()[:32]}"
        self._refusals = Refusals(metrics)
        self._forged: Callable[[], None] = metrics.dropped.labels("forged").inc
        self._accept: Accept | None = None
        self._session: zenoh.Session | None = None
        self._threads = ThreadPoolExecutor(WORKERS, "zenoh")
        self._answering = BoundedSemaphore(DIALS)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life ---

    async def start(self, accept: Accept, seen: Seen) -> None:
        """Take connections that others make, and make some.

        A client comes up without a router, and goes on looking for one. Raises `ConfigError` if a peer cannot listen.
        """
        self._accept, self._seen = accept, seen
        self._loop, self._ends = asyncio.get_running_loop(), asyncio.Event()
        if self._must_come_up:
            await self._in_thread(self._come_up)
        else:
            self._spawn(self._reach())

    async def stop(self) -> None:
        """Take no more connections, and make none."""
        self._ends.set()
        self._accept = None
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=STOP_S)
        if self._session is not None:
            with suppress(zenoh.ZError, TimeoutError):
                await asyncio.wait_for(self._in_thread(self._session.close), STOP_S)
        self._threads.shutdown(wait=False)

    async def _reach(self) -> None:
        """Until a router answers."""
        backoff, level = Backoff(Random()), logging.WARNING
        while self._session is None and not self._ends.is_set():
            try:
                await self._in_thread(self._come_up)
            except ConfigError as error:
                log.log(level, "no router yet", extra={"facts": {"why": str(error)}})
                level = logging.DEBUG  # it has been said
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ends.wait(), backoff.next())

    def _come_up(self) -> None:
        """In a thread. Its own token comes last: whoever sees it may dial."""
        try:
            self._session = session = zenoh.open(self._settings)
            session.declare_queryable(self._key("dial", self.id), Callback(self._on_dial, None, indirect=False))
            liveliness = session.liveliness()
            watch = Callback(self._on_node, None, indirect=False)
            self._watch = liveliness.declare_subscriber(self._key("node", "*"), watch, history=True)
            self._token = liveliness.declare_token(self._key("node", self.id))
        except zenoh.ZError as error:
            self._session = None
            raise ConfigError(f"[zenoh]: cannot open a session: {why_of(error)}") from error

    def _key(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _in_thread(self, work: Callable[[], None]) -> asyncio.Future[None]:
        return self._loop.run_in_executor(self._threads, work)

    def _to_loop(self, call: Callable[..., object], *arguments: object) -> None:
        """From a thread of Zenoh."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_node(self, sample: zenoh.Sample) -> None:
        """In a thread of Zenoh: a token has come, or gone. Of two nodes that see each other one dials."""
        id = str(sample.key_expr).rpartition("/")[2]
        if id > self.id:
            self._to_loop(self._seen, id, sample.kind == zenoh.SampleKind.PUT)

    # --- dialling ---

    async def connect(self, address: str) -> ZenohConnection:
        """Connect to the node of an id. Raises `Closed`."""
        session = self._session
        if session is None or self._ends.is_set():
            raise Closed("no session of Zenoh")
        exchange, link = Exchange(), secrets.token_hex(16)
        theirs = await self._ask(session, address, Dial(VERSION, self.id, link, exchange.public))
        try:
            seal = exchange.agree(link.encode(), theirs, dials=True)
        except ValueError as error:
            raise Closed("its half of the keys is none") from error
        keys = self._key("link", link, "dialler"), self._key("link", link, "listener")
        connection = ZenohConnection(session, *keys, f"zenoh/{address}", seal, self._forged)
        try:
            await connection.open()
            await connection.met()
        except BaseException:
            await connection.close("no answer in time")
            raise
        return connection

    async def _ask(self, session: zenoh.Session, address: str, dial: Dial) -> bytes:
        """The other end's half of the keys."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        heard: Callback[zenoh.Reply] = Callback(
            lambda reply: self._to_loop(_settle, answer, _half(reply)),
            lambda: self._to_loop(_settle, answer, Closed("nobody answers there")),
            indirect=False,
        )
        payload = msgspec.msgpack.encode(dial)

        def ask() -> None:
            session.get(self._key("dial", address), heard, payload=payload, timeout=CONNECT_S)

        try:
            await self._in_thread(ask)
            async with asyncio.timeout(CONNECT_S):
                return await answer
        except (zenoh.ZError, TimeoutError) as error:
            raise Closed(str(error) or "no answer in time") from error
        finally:
            answer.cancel()

    # --- listening ---

    def _on_dial(self, query: zenoh.Query) -> None:
        """In a thread of Zenoh."""
        payload = query.payload
        if payload is None or len(payload) > DIAL_LIMIT:
            query.reply_err(b"no dial")
        elif not self._answering.acquire(blocking=False):
            query.reply_err(Reason.BUSY.value.encode())
        else:
            self._to_loop(lambda: self._spawn(self._take_in(query, payload.to_bytes())))

    async def _take_in(self, query: zenoh.Query, payload: bytes) -> None:
        """Answer whoever dials; the connection lasts until it is no longer accepted."""
        try:
            connection = await self._answer(query, payload)
        except Refused as refused:
            self._refusals.note("zenoh", refused)
            return
        except Closed:
            return
        finally:
            self._answering.release()
            del query  # Zenoh tells the dialler that there are no more answers
        if self._accept is not None:
            await self._accept(connection)
        await connection.close("this node ends")

    async def _answer(self, query: zenoh.Query, payload: bytes) -> ZenohConnection:
        """Raises `Refused` for what is no dial, and `Closed`."""
        assert self._session is not None, "it is asked there"
        exchange = Exchange()
        try:
            dial = _dials.decode(payload)
            seal = exchange.agree(dial.link.encode(), dial.half, dials=False)
        except (ValueError, RecursionError) as error:
            query.reply_err(b"no dial")
            raise Refused(Reason.MALFORMED, f"no dial: {error}") from error
        if dial.version != VERSION:
            query.reply_err(Reason.VERSION.value.encode())
            raise Refused(Reason.VERSION, f"it dials by version {dial.version}, this node answers {VERSION}")
        keys = self._key("link", dial.link, "listener"), self._key("link", dial.link, "dialler")
        connection = ZenohConnection(self._session, *keys, f"zenoh/{dial.node}", seal, self._forged)
        try:
            await connection.open()
            await self._in_thread(lambda: query.reply(self._key("dial", self.id), exchange.public))
        except (Closed, zenoh.ZError) as error:
            await connection.close("no session")
            raise Closed(str(error)) from error
        return connection


_dials = msgspec.msgpack.Decoder(Dial)


def _half(reply: zenoh.Reply) -> bytes | Closed:
    """What was answered: half of the keys, or why there is none."""
    if reply.ok is None:
        said = b"" if reply.err is None else reply.err.payload.to_bytes()[:120]
        why = said.decode(errors="replace")
        return Closed(why if why and why.isprintable() else "it does not answer as it should")
    payload = reply.ok.payload
    return payload.to_bytes() if len(payload) == 32 else Closed("it does not answer as it should")


def _settle(answer: asyncio.Future[bytes], outcome: bytes | Closed) -> None:
    """The first answer counts."""
    if answer.done():
        return
    if isinstance(outcome, Closed):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
