"""The live view of a node: a stream of what its first member sees, and cells explained. Read by the dashboard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from qorum.core.member import Member
from qorum.dashboard import cell
from qorum.dashboard.moment import Moment
from qorum.dashboard.scene import scene_of
from qorum.dashboard.timeline import Timeline
from qorum.errors import MissingExtra, TableError
from qorum.node.status import LinkStatus, Seconds

try:
    from aiohttp import web
except ImportError as error:
    raise MissingExtra("aiohttp", "node", "a node") from error

TURN_S = 0.2
"""Seconds between two looks,"""
PULSE_S = 1.0
"""and at most between two words, so that whoever listens notices when nobody speaks any more."""
VIEWERS = 32
"""Pages that may listen at a time."""
NEWEST = 2
"""Rounds that each word tells of; the first tells of all that are remembered."""


class NodeMoment(Moment, frozen=True, kw_only=True):
    """One word of the stream."""

    links: list[LinkStatus]
    sync_latency_s: Seconds
    received_bytes: int
    """Over links, since the node started."""


class View(Protocol):
    """What the stream needs of a node."""

    @property
    def observer(self) -> Member:
        """Whose view it is."""

    @property
    def timeline(self) -> Timeline:
        """Of the observer."""

    def surroundings(self) -> tuple[list[int], list[int]]:
        """Members hosted here, and those within reach."""

    def traffic(self) -> tuple[list[LinkStatus], Seconds, int]:
        """Links, sync latencies, and bytes received."""


def moment(view: View, courses: int) -> NodeMoment:
    """What there is to see now. courses: how many of the newest rounds."""
    now, timeline = time.monotonic(), view.timeline
    here, reachable = view.surroundings()
    links, latency, received = view.traffic()
    return NodeMoment(
        clock_s=now,
        scene=scene_of(view.observer, here, reachable),
        courses=list(timeline.courses)[-courses:],
        alerts=timeline.alerts(view.observer, len(reachable), now),
        links=links,
        sync_latency_s=latency,
        received_bytes=received,
    )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(view: View, root: str) -> list[web.RouteDef]:
    """Addresses below `root`, which need the token of the API where it has one."""
    return [
        web.get(f"{root}/live", _stream(view)),
        web.get(f"{root}/recording", _nothing),
        web.get(f"{root}/cells", _cells(view)),
        web.get(f"{root}/cells/{{state}}/{{action}}", _cell(view)),
    ]


async def _nothing(request: web.Request) -> web.Response:
    """A node shows what is: there is no recording to scrub through."""
    return _json(None)


def _stream(view: View) -> Handler:
    viewers = 0

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal viewers
        if viewers >= VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{VIEWERS} pages are watching this node; close one")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        viewers += 1
        try:
            with suppress(ConnectionError):  # whoever listened is gone
                await _tell(view, response)
        finally:
            viewers -= 1
        return response

    return stream


async def _tell(view: View, response: web.StreamResponse) -> None:
    seen, told, courses = -1, 0.0, 1 << 30
    while True:
        now = time.monotonic()
        if view.timeline.changes != seen or now - told >= PULSE_S:
            seen, told = view.timeline.changes, now
            await response.write(b"data: " + msgspec.json.encode(moment(view, courses)) + b"\n\n")
            courses = NEWEST
        await asyncio.sleep(TURN_S)


def _cells(view: View) -> Handler:
    async def cells(request: web.Request) -> web.Response:
        first = _number(request.query.get("first", "0"), "first")
        return _json(cell.rows(view.observer.state, first, request.query.get("order", "value")))

    return cells


def _cell(view: View) -> Handler:
    async def one(request: web.Request) -> web.Response:
        state, action = (_number(request.match_info[name], name) for name in ("state", "action"))
        return _json(cell.story(view.observer.state, state, action))

    return one


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 64:
        raise TableError(f"{name} is {text!r}; allowed: 0 to 2**64 - 1")
    return int(text)


def _json(answer: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
