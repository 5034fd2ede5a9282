"""`examine`: what stands in the way of a node, before it starts or while it runs, and what to do about each."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Literal

import msgspec

from qorum.core.genesis import Genesis
from qorum.errors import QorumError
from qorum.identity import Identity
from qorum.node.attach import line_to, read_token
from qorum.node.budget import Budgets
from qorum.node.certificates import certificate_end, client_context
from qorum.node.config import NodeConfig, load_config
from qorum.node.genesis_file import load_genesis
from qorum.node.handshakes import Handshakes
from qorum.node.hello import Nonces, Party, Peer
from qorum.node.metrics import Metrics
from qorum.node.refused import Refused
from qorum.node.status import NodeStatus
from qorum.node.transport import Closed, Connection
from qorum.node.websocket import WebSockets
from qorum.store.inspection import inspect

ANSWER_S = 5.0
"""Seconds that a peer has to answer."""
CLOSE_S = 0.1
"""Seconds that connections have to let go of their sockets."""
APART_S = 5.0
"""Most that two clocks may differ by. Agreement needs no clocks; certificates and people who read logs do."""
EXPIRES_DAYS = 30
LITTLE_MB, SCARCE_MB = 1_000, 100
"""Free disk: worth a word, and too little."""
SLOW_MS = 50.0
"""A synced write that takes longer makes every round slow."""
SPARE_FILES = 256
RELEASED = 1_767_225_600
"""Start of 2026: a clock that says less is wrong."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    level: Literal["ok", "warn", "fail"]
    says: str


def examine(path: Path) -> Iterator[Finding]:
    """Look at everything that the configuration at `path` names; what fails is told, never raised."""
    try:
        config = load_config(path)
        genesis = load_genesis(config.genesis)
    except QorumError as error:
        yield _finding("configuration", "fail", str(error))
        return
    yield _finding(
        "configuration", "ok", f"federation {genesis.federation.hex()[:16]}, {genesis.members} founding members"
    )
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("clock", _clock),
        ("keys", lambda: _keys(config, genesis)),
        ("certificate", lambda: _certificate(config)),
        ("token", lambda: _token(config)),
        ("open files", lambda: _files(config)),
        ("disk", lambda: _disk(config.data)),
        ("store", lambda: _store(config.data, genesis)),
        ("port", lambda: _port(config)),
        ("peers", lambda: _peers(config, genesis)),
    )
    for name, check in checks:
        try:
            yield from check()
        except (QorumError, OSError) as error:
            yield _finding(name, "fail", str(error))


def _finding(check: str, level: Literal["ok", "warn", "fail"], says: str) -> Finding:
    return Finding(check=check, level=level, says=says)


def _clock() -> Iterator[Finding]:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < RELEASED:
        yield _finding("clock", "fail", f"it says {now}, which has passed: set it, or certificates do not hold")
    else:
        yield _finding("clock", "ok", now)


def _keys(config: NodeConfig, genesis: Genesis) -> Iterator[Finding]:
    for path in config.members:
        key = Identity.load(path).public_key
        seat = genesis.public_keys.index(key) if key in genesis.public_keys else None
        who = "none of the founders': a round has to admit it" if seat is None else f"founding member {seat}"
        yield _finding("keys", "ok", f"{path.name}: {who}")


def _certificate(config: NodeConfig) -> Iterator[Finding]:
    if config.tls is None:
        yield _finding("certificate", "warn", "no TLS: only for loopback, or a network that is closed to all others")
        return
    client_context(config.tls)  # certificate and key belong together, and nobody else may read the key
    days = (certificate_end(config.tls.certificate) - time.time()) / 86_400
    level: Literal["ok", "warn", "fail"] = "ok" if days > EXPIRES_DAYS else "warn" if days > 0 else "fail"
    what = f"valid for {days:.0f} days" if days > 0 else f"expired {-days:.0f} days ago: have a new one made"
    yield _finding("certificate", level, f"{config.tls.certificate.name}: {what}")


def _token(config: NodeConfig) -> Iterator[Finding]:
    if config.token is not None:
        read_token(config.token)
        yield _finding("token", "ok", config.token.name)


def _files(config: NodeConfig) -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Windows
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * len(config.peers) + SPARE_FILES
    if allowed < needed:
        yield _finding("open files", "warn", f"{allowed} allowed, {needed} may be needed: ulimit -n {needed}")
    else:
        yield _finding("open files", "ok", f"{allowed} allowed")


def _disk(data: Path) -> Iterator[Finding]:
    folder = _nearest(data)
    free = shutil.disk_usage(folder).free / 1e6
    level: Literal["ok", "warn", "fail"] = "ok" if free > LITTLE_MB else "warn" if free > SCARCE_MB else "fail"
    yield _finding("disk", level, f"{free:,.0f} MB free at {folder}")
    begun = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(4096))
        os.fsync(file.fileno())
    took = 1000 * (time.perf_counter() - begun)
    yield _finding("disk", "ok" if took < SLOW_MS else "warn", f"a synced write takes {took:.1f} ms")


def _nearest(path: Path) -> Path:
    """The folder that a new file at `path`, or below it, would be on the disk of."""
    while not path.is_dir():
        path = path.parent
    return path


def _store(data: Path, genesis: Genesis) -> Iterator[Finding]:
    if not data.exists():
        yield _finding("store", "ok", f"none yet at {data}; the first start makes it")
        return
    told = inspect(data, commits=0)
    if told["federation"] != genesis.federation.hex():
        yield _finding("store", "fail", f"{data} is of federation {told['federation'][:16]}: name another `data`")
    elif told["backup"]:
        says = (
            f"{data} is a backup, on which no node starts: its members may have signed since. Use the store itself, or"
        )
        yield _finding("store", "fail", f"{says} a new key for each (qorum rekey --lost)")
    else:
        newest = told["newest"]
        yield _finding("store", "ok", f"sound, newest agreed round {newest['round'] if newest else 0}")


def _port(config: NodeConfig) -> Iterator[Finding]:
    host, _, port = config.listen.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        yield _finding("port", "ok", f"{config.listen} is free: the node is not running")
    except OSError as error:
        try:
            status = line_to(config).ask("status", NodeStatus, answer_s=ANSWER_S)
        except QorumError:
            says = f"{config.listen} cannot be had, and not because the node runs: {error}; free it, or change `listen`"
            yield _finding("port", "fail", says)
        else:
            yield _finding("port", "ok", f"{config.listen}: this node runs, {status.state}")


def _peers(config: NodeConfig, genesis: Genesis) -> Iterator[Finding]:
    if config.zenoh is not None:
        yield _finding("peers", "warn", "links go over Zenoh: whom it reaches, `qorum status` says while it runs")
    for peer in config.peers:
        try:
            members = asyncio.run(_greet(peer, config, genesis))
        except (Closed, Refused, TimeoutError) as error:
            yield _finding("peers", "fail", f"{peer}: {str(error) or f'no answer within {ANSWER_S:.0f} s'}")
            continue
        yield _finding("peers", "ok", f"{peer}: hosts {members} of this federation")
        yield from _apart(peer, config)


async def _greet(peer: str, config: NodeConfig, genesis: Genesis) -> str:
    """Shake hands as somebody unknown who only looks on; how many members the node there proves."""
    sockets, takes = WebSockets(config.tls, Metrics()), Budgets()
    party = Party(genesis.roster, (Identity.generate(),), Nonces(), takes.bytes_per_second, takes.messages_per_second)
    await sockets.start(_nobody, lambda address, there: None)
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await sockets.connect(peer)
            try:
                theirs = await Handshakes(insecure=True).shake(connection, party, _anybody, dials=True, as_guest=True)
            finally:
                await connection.close("examined")
    finally:
        await sockets.stop()
        await asyncio.sleep(CLOSE_S)
    members = len(theirs.keys)
    return f"{members} member{'s' * (members != 1)}"


async def _nobody(connection: Connection) -> None:
    """Takes no connections."""


def _anybody(peer: Peer) -> None:
    """Is welcome: it is only looked at."""


def _apart(peer: str, config: NodeConfig) -> Iterator[Finding]:
    """How far the clock of a peer is from this one."""
    host, _, port = peer.rpartition(":")
    if config.tls is None:
        line = HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_S)
    else:
        line = HTTPSConnection(host.strip("[]"), int(port), timeout=ANSWER_S, context=client_context(config.tls))
    try:
        line.request("GET", "/healthz")
        date = line.getresponse().headers.get("Date", "")
        seconds = abs(parsedate_to_datetime(date).timestamp() - time.time())
    except (OSError, HTTPException, ValueError) as error:
        yield _finding("clock", "warn", f"{peer}: cannot tell what its clock says: {error}")
        return
    finally:
        line.close()
    if seconds > APART_S:
        yield _finding("clock", "warn", f"{peer}: its clock is {seconds:.0f} s off: have both set by NTP")
