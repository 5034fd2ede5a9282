"""The JSON API: what agents in other processes, and people, ask of a node. `records` has what is said."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from qorum.errors import UNREADABLE, MissingExtra, QorumError
from qorum.node.host import Host
from qorum.node.loopback import is_loopback
from qorum.node.petition_file import PetitionFile
from qorum.node.records import Columns, Filed, Heard, RosterView, Steps, Task, Wait
from qorum.node.status import NodeStatus

try:
    from aiohttp import web
    from aiohttp.typedefs import Middleware
except ImportError as error:
    raise MissingExtra("aiohttp", "node", "a node") from error

T = TypeVar("T")

MAX_BODY = 4 << 20
"""Bytes of a request."""
BODY_S = 30.0
"""Seconds that they may take."""
MAX_WAIT = 600.0
"""Seconds that a sync may wait for a round."""
ROOT = "/api/v1"


class Api(Protocol):
    """What the API needs of a node."""

    def status(self) -> NodeStatus:
        """What the node says of itself."""

    def host(self, member: str) -> Host:
        """The host of a member, by name or index. Raises `ConfigError`, naming those there are."""

    @property
    def roster(self) -> RosterView:
        """The newest membership that it knows of."""

    def petition(self, file: PetitionFile) -> None:
        """Ask the federation for a change of membership. Raises a `QorumError` that says why it makes no sense."""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(node: Api) -> list[web.RouteDef]:
    """The addresses of the API."""

    async def status(request: web.Request) -> web.Response:
        return _json(node.status())

    async def task(request: web.Request) -> web.Response:
        return _json(Task.of(node.host(request.match_info["member"]).table.config))

    async def table(request: web.Request) -> web.Response:
        host = node.host(request.match_info["member"])
        what = request.query.get("what", "view")
        if what not in ("view", "agreed"):
            raise web.HTTPBadRequest(text=f"what is {what!r}; allowed: view, agreed")
        shown = host.table.view if what == "view" else host.table.agreed_table
        return _json(Columns.of(host.member.state.round, shown))

    async def observe(request: web.Request) -> web.Response:
        host = node.host(request.match_info["member"])
        steps = await _body(request, Steps)
        _learn(host, steps)
        return _json(Heard(interactions=host.table.agent.interactions, round=host.member.state.round))

    async def sync(request: web.Request) -> web.Response:
        host = node.host(request.match_info["member"])
        wait = await _body(request, Wait)
        if not 0 <= wait.timeout_s <= MAX_WAIT:
            raise web.HTTPBadRequest(text=f"timeout_s is {wait.timeout_s}; allowed: 0 to {MAX_WAIT:.0f}")
        return _json(await host.sync(wait.timeout_s))

    async def roster(request: web.Request) -> web.Response:
        return _json(node.roster)

    async def petition(request: web.Request) -> web.Response:
        node.petition(await _body(request, PetitionFile))
        return _json(Filed(round=node.roster.round))

    return [
        web.get(f"{ROOT}/status", status),
        web.get(f"{ROOT}/roster", roster),
        web.post(f"{ROOT}/petition", petition),
        web.get(f"{ROOT}/members/{{member}}", task),
        web.get(f"{ROOT}/members/{{member}}/table", table),
        web.post(f"{ROOT}/members/{{member}}/observe", observe),
        web.post(f"{ROOT}/members/{{member}}/sync", sync),
    ]


def _learn(host: Host, steps: Steps) -> None:
    """Learn from all steps up to one that is refused; what is before it counts."""
    columns = (steps.state_hash, steps.action, steps.reward, steps.next_hash, steps.terminated)
    if len({len(column) for column in columns}) != 1:
        raise web.HTTPBadRequest(text=f"columns of different lengths: {', '.join(str(len(one)) for one in columns)}")
    try:
        for step in zip(*columns, strict=True):
            host.table.agent.learn_encoded(*step)
    finally:
        host.lived()


def guard(token: str | None) -> Middleware:
    """Middleware: who may use the API, and errors as what they are.

    token: what requests must carry; None on loopback alone, where the name that was asked for must then be one of
    loopback's, so that no page in a browser reaches the API through a name of its own.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(ROOT):
            _admit(request, token)
        try:
            return await handler(request)
        except QorumError as error:
            raise web.HTTPBadRequest(text=str(error)) from error

    return check


def _admit(request: web.Request, token: str | None) -> None:
    if request.method == "POST" and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON, with Content-Type: application/json")
    if token is None:
        if not is_loopback(request.url.host or ""):
            raise web.HTTPForbidden(text=f"this API is for this machine; it does not go by {request.url.host}")
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not hmac.compare_digest(given.encode(), token.encode()):
        raise web.HTTPUnauthorized(
            text="this API needs its token: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
        )


async def _body(request: web.Request, type: type[T]) -> T:
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.read()
        return msgspec.json.decode(body or b"{}", type=type, strict=False)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"the request was not there after {BODY_S:.0f} s") from error
    except UNREADABLE as error:
        raise web.HTTPBadRequest(text=f"cannot read the request: {error}") from error


def _json(answer: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
