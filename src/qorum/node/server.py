"""`Server`: the one port of a node: other nodes, the API, health, metrics, and a page for people."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from qorum.errors import ConfigError, MissingExtra
from qorum.node.api import MAX_BODY, Api, guard, routes
from qorum.node.logs import Sampled
from qorum.node.loopback import is_loopback
from qorum.node.refusals import Refusals
from qorum.node.refused import Reason, Refused
from qorum.node.strangers import PATIENCE_S, Strangers

try:
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError
except ImportError as error:
    raise MissingExtra("aiohttp", "node", "a node") from error

PEER = "/peer"
CLOSE_S = 2.0
"""Seconds that requests under way have when the node ends."""

log = logging.getLogger("qorum.node")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Peer = Handler


class Served(Api, Protocol):
    """What the server needs of a node."""

    @property
    def ready(self) -> str | None:
        """None if all members take part; else what is in the way."""

    def metrics(self) -> bytes:
        """All metrics, in the text format of Prometheus."""


class Journal(logging.Logger):
    """What aiohttp logs to: whoever sends what is no HTTP is refused, and the rest is a fault of this node."""

    def __init__(self, refusals: Refusals) -> None:
        super().__init__(__name__)
        self._refusals, self._faults = refusals, Sampled(log)

    def handle(self, record: logging.LogRecord) -> None:
        """A request could not be answered."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            refused = Refused(Reason.MALFORMED, f"no HTTP: {error.message[:120]!r}")
            self._refusals.note(", ".join(map(str, record.args or ())), refused)
        else:
            self._faults(record.levelno, "request failed", {"why": record.getMessage()}, error)


class Server:
    """An aiohttp server on one address."""

    def __init__(
        self,
        node: Served,
        listen: str,
        peer: Peer,
        refusals: Refusals,
        *,
        tls: ssl.SSLContext | None = None,
        token: str | None = None,
        site: Sequence[web.RouteDef] = (),
    ) -> None:
        """listen: `host:port`; port 0 takes a free one. peer: answers other nodes. site: what else there is to see.

        Raises `ConfigError` if there is no token and the address is not one of loopback.
        """
        host, _, port = listen.rpartition(":")
        self._host, self._port, self._tls = host.strip("[]"), int(port), tls
        if token is None and not is_loopback(self._host):
            raise ConfigError(
                f"listen is {listen}, which others can reach, and there is no token for the API: name a file with one "
                "as `token`, or listen on 127.0.0.1"
            )
        self.strangers = Strangers(refusals)
        app = web.Application(middlewares=[self._welcome, guard(token)], client_max_size=MAX_BODY)
        app.add_routes([web.get(PEER, peer), *routes(node), *_plain(node), *site])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S, logger=Journal(refusals))

    async def start(self) -> None:
        """Listen. Raises `ConfigError` if the address cannot be had."""
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._answer,
                self._host,
                self._port,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else PATIENCE_S,
            )
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"cannot listen on {self._host}:{self._port}: {error.strerror or error}") from error

    def _answer(self) -> asyncio.Protocol:
        """What speaks to somebody who has connected."""
        assert self._runner.server is not None
        return self.strangers.watched(self._runner.server())

    @web.middleware
    async def _welcome(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Whoever has sent the head of a request is no stranger; it gets one answer, and connects anew for another."""
        self.strangers.welcome(request.transport)
        response = await handler(request)
        if not response.prepared:
            response.force_close()
        return response

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close all connections."""
        self._server.close()
        await self._runner.cleanup()
        await self.strangers.part()


def _plain(node: Served) -> list[web.RouteDef]:
    """What needs no token."""

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readiness(request: web.Request) -> web.Response:
        return web.Response(text=f"{node.ready or 'ready'}\n", status=503 if node.ready else 200)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=node.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    return [
        web.get("/healthz", health),
        web.get("/readyz", readiness),
        web.get("/metrics", metrics),
    ]
