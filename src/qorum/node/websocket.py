"""WebSockets as a `Transport`: binary messages at `/peer` of the one port that a node has, by aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
from ipaddress import ip_address
from typing import Any

from qorum.errors import MissingExtra

try:
    from aiohttp import (
        ClientError,
        ClientSession,
        ClientTimeout,
        ClientWebSocketResponse,
        ClientWSTimeout,
        TCPConnector,
        WebSocketError,
        WSCloseCode,
        WSMsgType,
        web,
    )
except ImportError as error:
    raise MissingExtra("aiohttp", "node", "a node") from error

from qorum.node.certificates import certificate_hash, client_context, hash_of, server_context
from qorum.node.config import Tls
from qorum.node.envelope import ENVELOPE_LIMIT
from qorum.node.metrics import Metrics
from qorum.node.refusals import Refusals
from qorum.node.refused import Reason, Refused
from qorum.node.transport import NO_CERTIFICATE, Accept, Closed, Seen

PATH = "/peer"
CONNECT_S = 30.0
CLOSE_S = 1.0
"""Seconds that the other end has to answer a close."""
HEARTBEAT_S = 10.0
"""Seconds of silence after which the other end is asked whether it is there; half of that is waited for an answer."""
TOO_LARGE = ENVELOPE_LIMIT + 1
"""Bytes of the smallest message that aiohttp is to refuse."""
CLOSE_CODE = 4000
"""With this code comes a reason of qorum's own."""
LOST = (ClientError, OSError, RuntimeError)
"""What aiohttp raises where the other end is gone."""

Socket = ClientWebSocketResponse | web.WebSocketResponse


class WebSocket:
    """One connection."""

    def __init__(self, socket: Socket, peer: str, certificate: bytes, *, is_private: bool) -> None:
        self.peer, self.certificate, self.is_private = peer, certificate, is_private
        self._socket = socket

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other end is slow. Raises `Closed`."""
        try:
            await self._socket.send_bytes(message)
        except LOST as error:
            raise Closed(str(error) or "connection lost") from error

    async def receive(self) -> bytes:
        """The next message. Raises `Closed`, and `Refused` for one that is too large or malformed."""
        try:
            message = await self._socket.receive()
        except LOST as error:  # while it answers a ping
            raise Closed(str(error) or "connection lost") from error
        if message.type is WSMsgType.BINARY:
            return bytes(message.data)
        if message.type is WSMsgType.ERROR:
            raise _broken(message.data)
        if message.type is WSMsgType.TEXT:
            raise Refused(Reason.MALFORMED, "text where messages are binary")
        why = (message.extra if message.data == CLOSE_CODE else None) or ""
        raise Closed(why if why and why.isprintable() else "connection lost")

    async def close(self, why: str) -> None:
        """End it and tell the other end why, in at most a second or two."""
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(2 * CLOSE_S):
                await self._socket.close(code=CLOSE_CODE, message=why.encode()[:120])


def _broken(error: object) -> Closed | Refused:
    code = error.code if isinstance(error, WebSocketError) else None
    if code == WSCloseCode.MESSAGE_TOO_BIG:
        return Refused(Reason.OVERSIZED, f"a message of more than {ENVELOPE_LIMIT} bytes")
    if code in (WSCloseCode.PROTOCOL_ERROR, WSCloseCode.INVALID_TEXT, WSCloseCode.UNSUPPORTED_DATA):
        return Refused(Reason.MALFORMED, f"no WebSocket: {error}")
    return Closed(str(error) or "connection lost")


class WebSockets:
    """The transport. Give `handler` and `server_tls` to the server of the one port."""

    def __init__(self, tls: Tls | None, metrics: Metrics) -> None:
        """Raises `ConfigError` if a file of `tls` is missing or wrong."""
        self._refusals = Refusals(metrics)
        self._accept: Accept | None = None
        self._session: ClientSession | None = None
        self._needs_certificate = tls is not None and tls.ca is not None
        self._certificate = NO_CERTIFICATE if tls is None else certificate_hash(tls.certificate)
        self.server_tls = None if tls is None else server_context(tls, self._refused_tls)
        """What the port speaks; None: no TLS."""
        self._client_tls = None if tls is None else client_context(tls)

    async def start(self, accept: Accept, seen: Seen) -> None:
        """Take connections that others make, and make some. It finds no nodes by itself: addresses are given."""
        self._accept = accept
        self._session = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=CONNECT_S))

    async def stop(self) -> None:
        """Take no more connections, and make none."""
        self._accept = None
        if self._session is not None:
            await self._session.close()

    def _refused_tls(self, refused: Refused) -> None:
        self._refusals.note("unknown", refused)

    # --- dialling ---

    async def connect(self, address: str) -> WebSocket:
        """Connect to a node, `host:port`. Raises `Closed`."""
        assert self._session is not None, "start it first"
        scheme = "ws" if self._client_tls is None else "wss"
        try:
            async with asyncio.timeout(CONNECT_S):
                socket = await self._session.ws_connect(
                    f"{scheme}://{address}{PATH}",
                    ssl=self._client_tls or False,
                    timeout=ClientWSTimeout(ws_close=CLOSE_S),
                    heartbeat=HEARTBEAT_S,
                    max_msg_size=TOO_LARGE,
                    compress=0,
                )
        except ValueError as error:  # of a name that cannot be one, or of a port
            raise Closed(f"no address: {error}") from error
        except (ClientError, OSError) as error:
            raise Closed(str(error) or "no answer in time") from error
        shown = socket.get_extra_info("ssl_object")
        certificate = NO_CERTIFICATE if shown is None else hash_of(shown)
        is_private = shown is not None or _is_loopback(socket.get_extra_info("peername"))
        return WebSocket(socket, address, certificate, is_private=is_private)

    # --- listening ---

    async def handler(self, request: web.Request) -> web.StreamResponse:
        """Answers whoever dials."""
        peer, accept, shown = _name(request), self._accept, request.get_extra_info("ssl_object")
        if accept is None:
            raise web.HTTPServiceUnavailable(text="this node takes no nodes in here, or not now")
        socket = web.WebSocketResponse(timeout=CLOSE_S, heartbeat=HEARTBEAT_S, max_msg_size=TOO_LARGE, compress=False)
        if not socket.can_prepare(request):
            self._refusals.note(peer, Refused(Reason.MALFORMED, "a request that is no WebSocket"))
            raise web.HTTPUpgradeRequired(text="nodes speak WebSocket here", headers={"Upgrade": "websocket"})
        if self._needs_certificate and not shown.getpeercert(binary_form=True):
            self._refusals.note(peer, Refused(Reason.NO_CERTIFICATE, "it shows no certificate of the authority"))
            raise web.HTTPForbidden(text="show a certificate of the authority")
        await socket.prepare(request)
        is_private = shown is not None or _is_loopback(request.get_extra_info("peername"))
        await accept(WebSocket(socket, peer, self._certificate, is_private=is_private))
        return socket


def _name(request: web.Request) -> str:
    """host:port of whoever asks."""
    peer = request.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if peer else "unknown"


def _is_loopback(peer: Any) -> bool:
    """Whether an address of a socket is this machine's own."""
    try:
        return bool(peer) and ip_address(peer[0]).is_loopback
    except ValueError:
        return False
