"""`Film`: a recorded run once more, as one of its honest members saw it, for the dashboard to scrub through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import msgspec
from aiohttp import web

from qorum.core.effects import Effect
from qorum.dashboard.moment import Moment
from qorum.dashboard.scene import scene_of
from qorum.dashboard.timeline import Timeline
from qorum.errors import QorumError
from qorum.lab.recording import AnyRun, CampaignRun, MeasuredRun
from qorum.node.site import routes
from qorum.sim import campaign
from qorum.sim.cluster import Cluster
from qorum.sim.experiment import Measured
from qorum.sim.host import Host

MOMENTS = 4_000
"""Kept of a run; of a longer one every other is dropped, as often as it takes."""
NEWEST = 2
"""Rounds that each tells of."""


class Film:
    """A witness of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.moments: list[Moment] = []
        self._cluster, self._timeline = cluster, Timeline()
        self._host = next(host for host in cluster.hosts if host.honest)
        self._seen, self._step, self._skipped = -1, 1, 0

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Look whether something has changed."""
        if host is self._host:
            self._timeline.note(host.member, self._cluster.now)
            if self._timeline.changes != self._seen:
                self._seen = self._timeline.changes
                self._take()

    def _take(self) -> None:
        self._skipped += 1
        if self._skipped < self._step:
            return
        self._skipped = 0
        up = sorted({host.seat for host in self._cluster.hosts if host.up and host.seat >= 0})
        member, now = self._host.member, self._cluster.now
        self.moments.append(
            Moment(
                clock_s=now,
                scene=scene_of(member, [self._host.seat], up),
                courses=deepcopy(list(self._timeline.courses)[-NEWEST:]),
                alerts=self._timeline.alerts(member, len(up), now),
            )
        )
        if len(self.moments) > MOMENTS:
            self.moments, self._step = self.moments[::2], 2 * self._step


def filmed(run: AnyRun, progress: Callable[[str, float], None]) -> bytes:
    """Run it again: JSON of what the dashboard shows. Raises `QorumError` for a run in lock-step: it has no clock."""
    if isinstance(run, MeasuredRun):
        measured = Measured(run.experiment, run.script)
        film = _on(measured.cluster)
        measured.run(progress)
        what: dict[str, Any] = {"kind": "measured", "members": run.experiment.members, "seed": run.experiment.seed}
    elif isinstance(run, CampaignRun):
        one = campaign.Run(run.setup, run.seed, run.script)
        film = _on(one.cluster)
        one.play()
        what = {"kind": "campaign", "members": run.setup.members, "seed": run.seed}
    else:
        raise QorumError("a run in lock-step has no clock to scrub along; without --serve its story is told")
    return msgspec.json.encode({**what, "moments": film.moments})


def _on(cluster: Cluster) -> Film:
    film = Film(cluster)
    cluster.witnesses.append(film)
    return film


@asynccontextmanager
async def showing(film: bytes, port: int = 0) -> AsyncIterator[str]:
    """The dashboard on loopback, with a film in place of a node; its address. Raises `QorumError` if it is taken."""

    async def recording(request: web.Request) -> web.Response:
        return web.Response(body=film, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/api/v1/recording", recording), *routes(b"{}", None)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    except OSError as error:
        raise QorumError(f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}") from error
    finally:
        await runner.cleanup()


def serve(film: bytes, port: int, told: Callable[[str], None], seconds: float = 0.0) -> None:
    """Show a film until somebody interrupts, or for so many seconds. Raises `QorumError`."""

    async def show() -> None:
        async with showing(film, port) as address:
            told(f"open {address} in a browser; end with Ctrl-C")
            try:
                await asyncio.sleep(seconds or 1e9)
            except asyncio.CancelledError:  # Ctrl-C
                told("ending")

    asyncio.run(show())
