"""Transports without links above them: what connections do by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from qorum.node.config import Zenoh
from qorum.node.metrics import Metrics
from qorum.node.transport import Closed, Connection, Transport
from qorum.node.websocket import PATH, WebSockets
from qorum.node.zenoh_transport import ZenohTransport
from tests.node.network import PATIENCE_S

FEDERATION = bytes(32)


class End:
    """A transport that takes everybody in."""

    def __init__(self, zenoh: Zenoh | None, federation: bytes = FEDERATION) -> None:
        self.metrics = Metrics()
        self.sockets = WebSockets(None, self.metrics)
        self.zenoh = None if zenoh is None else ZenohTransport(zenoh, federation, self.metrics, insecure=False)
        self.transport: Transport = self.zenoh or self.sockets
        self.seen: dict[str, bool] = {}
        """What the transport has found by itself."""
        self._accepted: asyncio.Queue[Connection] = asyncio.Queue()
        self._ends = asyncio.Event()

    @asynccontextmanager
    async def up(self) -> AsyncIterator[End]:
        app = web.Application()
        app.add_routes([web.get(PATH, self.sockets.handler)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await self.transport.start(self._accept, self.seen.__setitem__)
        self.address = self.zenoh.id if self.zenoh else f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self._ends.set()
            await self.transport.stop()
            await runner.cleanup()

    async def _accept(self, connection: Connection) -> None:
        self._accepted.put_nowait(connection)
        await self._ends.wait()

    async def dial(self, other: End) -> tuple[Connection, Connection]:
        """A new connection: this end's, and the other's."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.transport.connect(other.address), await other._accepted.get()
                except Closed:  # not there yet
                    await asyncio.sleep(0.01)
