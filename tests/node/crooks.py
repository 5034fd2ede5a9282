"""Nodes that do not keep to the rules, by hand on raw WebSockets, and whoever sits in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMessage, WSMsgType, web

from qorum.core.roster import Roster
from qorum.identity import Identity
from qorum.node.certificates import client_context, hash_of, server_context
from qorum.node.config import Tls
from qorum.node.hello import Handshake
from qorum.node.transport import NO_CERTIFICATE
from qorum.node.websocket import PATH
from tests.node.network import PATIENCE_S, genesis_of, party_of

LARGE = 1 << 24


class Forger:
    """Names one key and signs with another."""

    def __init__(self, named: Identity, signer: Identity) -> None:
        self.public_key, self.sign = named.public_key, signer.sign


class Raw:
    """A raw connection to a node."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        shown = socket.get_extra_info("ssl_object")
        self.certificate = hash_of(shown) if shown else NO_CERTIFICATE
        self._last: WSMessage | None = None
        """What ended the handshake early."""

    async def receive(self) -> WSMessage:
        return await self.socket.receive(timeout=PATIENCE_S)

    async def shake(self, identities: Sequence[Identity | Forger], roster: Roster | None = None) -> None:
        """Shake hands as well as one can; ends early where that is refused."""
        party = party_of(roster or genesis_of().roster, identities)  # type: ignore[arg-type]
        handshake = Handshake(party, self.certificate, dials=True)
        await self.socket.send_bytes(handshake.start() or b"")
        while handshake.peer is None:
            message = await self.receive()
            if message.type is not WSMsgType.BINARY:
                self._last = message
                return
            if answer := await handshake.receive(message.data):
                await self.socket.send_bytes(answer)

    async def why_closed(self) -> str:
        """What the node gives as its reason for closing the connection, which it must do soon."""
        message = self._last or await self.receive()
        while message.type is WSMsgType.BINARY:
            message = await self.receive()
        return message.extra or "" if message.type is WSMsgType.CLOSE else ""


@asynccontextmanager
async def raw(address: str, tls: Tls | None = None) -> AsyncIterator[Raw]:
    """A connection that claims nothing yet."""
    scheme, context = ("wss", client_context(tls)) if tls else ("ws", False)
    async with (
        ClientSession() as session,
        session.ws_connect(
            f"{scheme}://{address}{PATH}", ssl=context, max_msg_size=LARGE, timeout=ClientWSTimeout(ws_close=0.2)
        ) as socket,
    ):
        yield Raw(socket)


class Between:
    """Sits between two nodes, passes on what the dialler says, changed or not, and remembers it."""

    def __init__(self, target: str, tls: Tls | None = None) -> None:
        """tls: its own certificate, and how it speaks to the target."""
        self.heard: list[bytes] = []
        """From the dialler."""
        self.change: Callable[[bytes], bytes] = bytes
        self._target, self._tls = target, tls

    async def handle(self, request: web.Request) -> web.StreamResponse:
        victim = web.WebSocketResponse(max_msg_size=LARGE, timeout=0.2)
        await victim.prepare(request)
        with suppress(ConnectionError):
            async with raw(self._target, self._tls) as line:
                back = asyncio.create_task(self._pass_back(line, victim))
                async for message in victim:
                    self.heard.append(message.data)
                    await line.socket.send_bytes(self.change(message.data))
                back.cancel()
        return victim

    async def _pass_back(self, line: Raw, victim: web.WebSocketResponse) -> None:
        async for message in line.socket:
            await victim.send_bytes(message.data)
        await victim.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its address."""
        app = web.Application()
        app.add_routes([web.get(PATH, self.handle)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        context = server_context(self._tls, lambda refused: None) if self._tls else None
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield f"127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
