"""`Node`: store, members, links and server of one process, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import numpy as np

import qorum
from qorum.core.effects import Blame, Committed, Equivocation
from qorum.core.genesis import Genesis
from qorum.core.member import Member
from qorum.core.roster import Roster
from qorum.core.sharing import shared_engine
from qorum.core.table import NO_SEAT
from qorum.dashboard.timeline import Timeline
from qorum.errors import ConfigError, IdentityError
from qorum.identity import Identity, verify
from qorum.node import live
from qorum.node.api import ROOT
from qorum.node.attach import read_token
from qorum.node.birth import heir_of, host_of
from qorum.node.chronicle import Account, Chronicle
from qorum.node.config import NodeConfig, Zenoh
from qorum.node.genesis_file import load_genesis
from qorum.node.host import Host, Written
from qorum.node.links import Links
from qorum.node.memory import resident_mb
from qorum.node.metrics import Metrics
from qorum.node.petition_file import PetitionFile
from qorum.node.records import RosterView
from qorum.node.refusals import Refusals
from qorum.node.server import Server
from qorum.node.site import assets_folder, routes
from qorum.node.status import LinkStatus, NodeStatus, Seconds, member_status, standing_of, tolerance_of
from qorum.node.succession import identity_at, next_key, swap
from qorum.node.transport import Transport
from qorum.node.websocket import WebSockets
from qorum.store import Store

STATES = 4
"""Agreed states that members share the making of; they are large."""

log = logging.getLogger("qorum.node")


class Node:
    """One process' part in a federation. Lives in the event loop that `start` is called in."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.chronicle = Chronicle()
        self.hosts: dict[str, Host] = {}
        """By name: that of the file with the member's key."""
        self.stopping = ""
        """What is being stopped."""
        self.timeline = Timeline()
        self._begun = time.monotonic()
        self._metrics = Metrics()
        self._parts: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        """What is up, and how it is stopped: the last first."""

    # --- life ---

    async def start(self) -> None:
        """Come up. Raises a `QorumError` that says what is wrong; then nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End: members first, whose last words still leave; the store last, once it holds all they said."""
        while self._parts:
            self.stopping, stop = self._parts.pop()
            await stop()
        self.stopping = ""

    async def _start(self) -> None:
        config = self.config
        self._paths = {path.stem: path for path in config.members}
        if len(self._paths) < len(config.members):
            raise ConfigError("`members` names two key files of one name; give each a name of its own")
        self._store = await asyncio.to_thread(Store.open, config.data, load_genesis(config.genesis))
        self._parts.append(("the store", self._close_store))
        identities = {name: identity_at(path, self._store) for name, path in self._paths.items()}
        self._raise_hosts(identities)
        sockets = WebSockets(config.tls, self._metrics)
        self._links = Links(
            self._furthest.member.roster,
            list(identities.values()),
            sockets if config.zenoh is None else _over_zenoh(config, config.zenoh, self._store.genesis, self._metrics),
            config.peers,
            self._deliver,
            on_lost=self._lose,
            metrics=self._metrics,
            budgets=config.budgets,
            insecure=config.insecure,
        )
        self._meet(self._furthest.member.roster)
        token = None if config.token is None else read_token(config.token)
        refusals = Refusals(self._metrics)
        site = [*routes(config.genesis.read_bytes(), assets_folder(config.assets)), *live.routes(self, ROOT)]
        self._server = Server(
            self, config.listen, sockets.handler, refusals, tls=sockets.server_tls, token=token, site=site
        )
        await self._server.start()
        self._parts.append(("the server", self._server.stop))
        await self._links.start()
        self._parts.append(("links to other nodes", self._links.stop))
        self._first.watch = lambda: self.timeline.note(self.observer, time.monotonic())
        for name, host in self.hosts.items():
            host.start()
            self._parts.append((f"member {name}", host.stop))
        self._metrics.members.set(len(self.hosts))

    def _raise_hosts(self, identities: dict[str, Identity]) -> None:
        genesis = self._store.genesis
        self._engine = shared_engine(genesis, verify, results=4 * genesis.members + 512, states=STATES)
        for name, identity in identities.items():
            self.hosts[name] = host_of(identity, self._store, self._engine, self._route, self)

    async def _close_store(self) -> None:
        await asyncio.to_thread(self._store.close)

    # --- frames ---

    def _route(self, sender: bytes, to: tuple[int, ...], frame: bytes) -> None:
        self._links.send(self._links.id_of(sender), to, frame)

    def _deliver(self, to: int, sender: int, frame: bytes) -> None:
        host = self._by_id.get(to)
        if host is not None:
            host.receive(sender, frame)

    def _lose(self, members: frozenset[int]) -> None:
        for host in self.hosts.values():
            host.lost(members)

    def _meet(self, roster: Roster) -> None:
        """Know everybody by the ids of a new membership."""
        self._links.update(roster)
        self._by_id = {self._links.id_of(host.key): host for host in self.hosts.values()}

    # --- membership ---

    def _log_membership(self, roster: Roster) -> None:
        mine = {name: roster.seat_of(host.key) for name, host in self.hosts.items()}
        log.info("membership", extra={"facts": {"epoch": roster.epoch, "members": len(roster.active), "mine": mine}})

    def _see_succession(self) -> None:
        """Let members whose key has lost its seat go on under their next one, if that holds it now."""
        for name, host in self.hosts.items():
            try:
                following = next_key(self._paths[name]) if host.is_up and host.member.me is None else None
            except IdentityError as error:
                log.warning("no use of the next key", extra={"facts": {"name": name, "reason": str(error)}})
                continue
            if following is not None and host.member.roster.seat_of(following.public_key) is not None:
                self._succeed(name, host, following)

    def _succeed(self, name: str, host: Host, following: Identity) -> None:
        old, loop = host.key, asyncio.get_running_loop()
        handed_on = self._store.rekey(old, following.public_key)  # before anything that the new key writes
        host.go_on_as(following, heir_of(host.member, following.public_key, self._engine))
        self._links.replace(old, following)
        self._meet(host.member.roster)

        def swap_files(handed_on: Written) -> None:  # in the thread of the store
            with suppress(RuntimeError):  # the loop is closed: the next start does it
                if handed_on.exception() is None:
                    loop.call_soon_threadsafe(self._swap, name)

        handed_on.add_done_callback(swap_files)

    def _swap(self, name: str) -> None:
        try:
            swap(self._paths[name])
        except IdentityError as error:
            log.warning("key files as they were", extra={"facts": {"name": name, "reason": str(error)}})
        else:
            log.info("new key", extra={"facts": {"name": name, "member": self.hosts[name].me}})

    @property
    def roster(self) -> RosterView:
        """The newest membership that it knows of."""
        state = self._furthest.member.state
        return RosterView.of(state.roster, state.round)

    def petition(self, file: PetitionFile) -> None:
        """Ask the federation for a change of membership. Raises a `QorumError` that says why it makes no sense."""
        roster = self.roster
        file.check(roster)
        petition = file.petition(roster)
        hosts = [host for host in self.hosts.values() if host.is_up] or [self._furthest]
        hosts[0].meet(lambda member: member.petition(petition))

    # --- what happens at its hosts: `host.Witness` ---

    def agreed(self, host: Host, committed: Committed, latencies: Sequence[float]) -> None:
        """A round is agreed and durable."""
        is_first = committed.state.round > self.chronicle.newest
        self.chronicle.agreed(host, committed, latencies)
        if committed.epochs:
            self._meet(committed.state.roster)
            if is_first:
                self._log_membership(committed.state.roster)
            asyncio.get_running_loop().call_soon(self._see_succession)
        for latency in latencies:
            self._metrics.sync_seconds.observe(latency)
        if is_first:
            self._metrics.rounds.inc()
            self._metrics.round.set(committed.state.round)
            self._metrics.excluded.set(int(committed.state.excluded.sum()))

    def blamed(self, host: Host, blame: Blame) -> None:
        """A peer sent what no honest member sends."""
        self.chronicle.blamed(host, blame)
        self._links.blame(blame.peer, blame.reason)

    def equivocated(self, host: Host, proof: Equivocation) -> None:
        """A member signed two bodies for one slot."""
        self.chronicle.equivocated(host, proof)
        self._metrics.equivocations.inc()

    def failed(self, host: Host, reason: str) -> None:
        """A host has stopped by itself."""
        self.chronicle.failed(host, reason)
        self._metrics.members.set(sum(host.is_up for host in self.hosts.values()))
        self._metrics.store_failed.set(self._store.failed is not None)

    def reaches(self, member: int) -> bool:
        """Whether a member is hosted here, or a link leads to it."""
        return self._links.reaches(member)

    # --- what others ask ---

    def host(self, member: str | int | None = None) -> Host:
        """The host of a member, by name or index; the only one if there is one only.

        Raises `ConfigError`, naming those there are.
        """
        if member is None and len(self.hosts) == 1:
            return next(iter(self.hosts.values()))
        by_index = {str(host.me): host for host in self.hosts.values() if host.me != NO_SEAT}
        found = self.hosts.get(str(member)) or by_index.get(str(member))
        if found is None:
            names = ", ".join(f"{name} ({_place(host)})" for name, host in self.hosts.items())
            raise ConfigError(f"this node hosts no member {member!r}; it hosts {names}")
        return found

    @property
    def ready(self) -> str | None:
        """None if all members take part; else what is in the way."""
        down = [f"member {name}: {host.status()}" for name, host in self.hosts.items() if not host.is_up]
        return "; ".join(down) or (None if self.hosts else "starting")

    @property
    def listen(self) -> str:
        """Where it listens, `host:port`."""
        host = self.config.listen.rpartition(":")[0]
        return f"{host}:{self._server.port}"

    @property
    def _furthest(self) -> Host:
        return max(self.hosts.values(), key=lambda host: host.member.state.round)

    # --- what people watch: `live.View` ---

    @property
    def _first(self) -> Host:
        return next(iter(self.hosts.values()))

    @property
    def observer(self) -> Member:
        """The member whose view is shown."""
        return self._first.member

    def surroundings(self) -> tuple[list[int], list[int]]:
        """Members hosted here, and those within reach."""
        here = [host.me for host in self.hosts.values() if host.me != NO_SEAT]
        return here, sorted(self._links.reachable)

    def traffic(self) -> tuple[list[LinkStatus], Seconds, int]:
        """Links, sync latencies, and bytes received."""
        latencies = Seconds.of(list(self.chronicle.latencies))
        return list(self._links.status()), latencies, self._metrics.received

    def status(self) -> NodeStatus:
        """What it says of itself."""
        hosts, furthest = list(self.hosts.values()), self._furthest
        return NodeStatus(
            federation=furthest.table.genesis.federation.hex(),
            version=qorum.__version__,
            uptime_s=time.monotonic() - self._begun,
            listen=self.listen,
            data=str(self.config.data),
            state=standing_of(hosts, len(self._links.reachable)),
            tolerance=tolerance_of(furthest),
            founders=furthest.table.genesis.members,
            members=tuple(member_status(host, name) for name, host in self.hosts.items()),
            links=self._links.status(),
            rounds_committed=self.chronicle.committed,
            sync_latency_s=Seconds.of(list(self.chronicle.latencies)),
            excluded=tuple(np.flatnonzero(furthest.member.state.excluded).tolist()),
            rss_mb=resident_mb(),
        )

    def account(self) -> Account:
        """What happened in its life."""
        return self.chronicle.account(self._metrics.received)

    def metrics(self) -> bytes:
        """All metrics, in the text format of Prometheus."""
        return self._metrics.text()


def _over_zenoh(config: NodeConfig, zenoh: Zenoh, genesis: Genesis, metrics: Metrics) -> Transport:
    from qorum.node.zenoh_transport import ZenohTransport  # an extra of its own

    return ZenohTransport(zenoh, genesis.federation, metrics, insecure=config.insecure)


def _place(host: Host) -> str:
    return "no seat" if host.me == NO_SEAT else str(host.me)
