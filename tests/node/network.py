"""Nodes that are nothing but their links, on real sockets of loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.core.roster import Roster
from qorum.identity import Identity, Signer
from qorum.node.budget import Budgets
from qorum.node.certificates import write_certificate
from qorum.node.config import Tls
from qorum.node.hello import Nonces, Party
from qorum.node.links import Links
from qorum.node.metrics import Metrics
from qorum.node.refused import Reason
from qorum.node.transport import Transport
from qorum.node.websocket import PATH, WebSockets
from qorum.node.zenoh_transport import ZenohTransport
from tests.node.carriers import Carrier

PATIENCE_S = 10.0
IDENTITIES = [Identity.from_seed(bytes([number]) * 32) for number in range(1, 7)]
STRANGER = Identity.from_seed(b"stranger".ljust(32))


def genesis_of(members: int = 4, **fields: object) -> Genesis:
    """A federation of the first few of `IDENTITIES`."""
    keys = tuple(identity.public_key for identity in IDENTITIES[:members])
    return Genesis(keys, FederationConfig.of(fields))


def party_of(
    roster: Roster,
    identities: Sequence[Signer],
    nonces: Nonces | None = None,
    rates: tuple[int, int] = (10**6, 10**3),
) -> Party:
    return Party(roster, identities, nonces or Nonces(), *rates)


def tls_in(folder: Path, name: str = "node") -> Tls:
    """A certificate of its own."""
    tls = Tls(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    write_certificate(tls.certificate, tls.key, "127.0.0.1")
    return tls


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until it holds; a deadline, never a measurement."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true in {PATIENCE_S} s") from None


class Station:
    """Links, a port, and what has come over them."""

    def __init__(
        self,
        members: Sequence[int],
        peers: Sequence[str] = (),
        *,
        tls: Tls | None = None,
        genesis: Genesis | None = None,
        identities: Sequence[Identity] | None = None,
        budgets: Budgets | None = None,
        insecure: bool = False,
        port: int = 0,
        over: Carrier | None = None,
    ) -> None:
        """over: what its links go over; with Zenoh nodes find each other, and `peers` does not matter."""
        self.received: list[tuple[int, int, bytes]] = []
        """(to, sender, frame)"""
        self.metrics = Metrics()
        self.sockets = WebSockets(tls, self.metrics)
        founded = genesis or genesis_of()
        self.transport, roster = self._carried(over, founded), founded.roster
        self.links = Links(
            roster,
            identities or [IDENTITIES[member] for member in members],
            self.transport,
            peers if self.transport is self.sockets else (),
            lambda to, sender, frame: self.received.append((to, sender, frame)),
            metrics=self.metrics,
            budgets=budgets,
            insecure=insecure,
        )
        self._port = port

    def _carried(self, over: Carrier | None, genesis: Genesis) -> Transport:
        zenoh = over.config() if over is not None else None
        if zenoh is None:
            return self.sockets
        return ZenohTransport(zenoh, genesis.federation, self.metrics, insecure=False)

    async def start(self) -> str:
        """Listen and dial; the address."""
        app = web.Application()
        app.add_routes([web.get(PATH, self.sockets.handler)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self.sockets.server_tls)
        await site.start()
        await self.links.start()
        self._port = self._runner.addresses[0][1]
        return self.address

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def stop(self) -> None:
        await self.links.stop()
        await self._runner.cleanup()

    def refused(self, reason: Reason) -> int:
        """How many were, for this reason, by the metric."""
        return int(self.value("qorum_refused_total", reason=reason.value))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def reaches(self, *members: int) -> bool:
        return self.links.reachable.issuperset(members)


@asynccontextmanager
async def running(*stations: Station) -> AsyncIterator[None]:
    """These, until the block ends."""
    try:
        for station in stations:
            await station.start()
        yield
    finally:
        for station in stations:
            await station.stop()
