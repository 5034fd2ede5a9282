"""`Strangers`: connections that have not yet said what they want. There may be so many of them, each for so long.

One that says nothing, or half of something, costs memory and a file handle. When there is one too many the oldest has
to go, so those that say nothing keep nobody out: who means it has spoken within moments. When the server
ends, those that do not close their end keep nobody up either.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from qorum.node.refusals import Refusals
from qorum.node.refused import Reason, Refused

LIMIT = 512
PATIENCE_S = 10.0
"""Seconds from the connection to the whole head of a request; TLS has as many before that."""
CLOSE_S = 0.5
"""Seconds that the other ends have to close their connections, when all are closed here."""


class Strangers:
    """All of a server. Lives in one event loop."""

    def __init__(self, refusals: Refusals, limit: int = LIMIT, patience_s: float = PATIENCE_S) -> None:
        self._refusals, self._limit, self._patience_s = refusals, limit, patience_s
        self._waits: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        """The oldest first."""
        self._open: dict[asyncio.BaseTransport, asyncio.Event] = {}
        """Every connection, strangers and others; the event: it is closed."""

    def __len__(self) -> int:
        return len(self._waits)

    def watched(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """The same protocol; whoever connects is a stranger until it is welcome."""
        return _Watched(protocol, self)

    def enter(self, transport: asyncio.Transport) -> None:
        """Somebody has connected."""
        self._open[transport] = asyncio.Event()
        if len(self._waits) >= self._limit:
            oldest = next(iter(self._waits))
            self._refuse(oldest, Refused(Reason.BUSY, f"{self._limit} others came after it and it has said nothing"))
        late = Refused(Reason.TOO_SLOW, f"no request within {self._patience_s:.0f} s")
        loop = asyncio.get_running_loop()
        self._waits[transport] = loop.call_later(self._patience_s, self._refuse, transport, late)

    def welcome(self, transport: asyncio.BaseTransport | None) -> None:
        """It has said what it wants, or has gone."""
        if transport in self._waits:
            self._waits.pop(transport).cancel()

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """A connection is closed."""
        self.welcome(transport)
        self._open.pop(transport).set()

    async def part(self) -> None:
        """Wait until all are closed; TLS waits for the other end, which may be gone or slow, so only a moment."""
        if await self._are_closed():
            return
        for transport in self._open:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        await self._are_closed()

    async def _are_closed(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                for closed in list(self._open.values()):
                    await closed.wait()
        return not self._open

    def _refuse(self, transport: asyncio.BaseTransport, why: Refused) -> None:
        self.welcome(transport)
        name = transport.get_extra_info("peername")
        self._refusals.note(f"{name[0]}:{name[1]}" if name else "unknown", why)
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Watched(asyncio.Protocol):
    """Hands everything on."""

    def __init__(self, inner: asyncio.Protocol, strangers: Strangers) -> None:
        self._inner, self._strangers = inner, strangers
        self.data_received, self.eof_received = inner.data_received, inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._strangers.enter(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.leave(self._transport)
        self._inner.connection_lost(exc)
