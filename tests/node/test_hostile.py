"""A live node under hostile frames: from strangers, and from a member with a key of its own."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import msgspec
import pytest
from aiohttp import ClientError

from qorum.identity import Identity
from qorum.node.certificates import client_context
from qorum.node.config import load_config
from qorum.node.envelope import Envelope, decode, encode
from qorum.node.genesis_file import load_genesis
from qorum.node.refused import Refused
from tests.node.builders import QUICK
from tests.node.crooks import Raw, raw
from tests.node.network import IDENTITIES
from tests.node.processes import Daemon, federation, until

CROOK = 3
"""The member whose key the crook has; the other three of four are a quorum."""
BURST = 2_000
"""Frames that the crook sends on one connection, if it is let."""
SAMPLES = 256
"""Genuine frames that it remembers."""
CLOSED_S = 0.5
"""After which what the crook has cut off is closed."""
FAULTS = ("stopped", "error inside", "link failed", "request failed")
"""Events that ought not to be, whatever comes."""
GROWTH_MB = 30.0
"""That the memory of the node may grow by, whatever it is sent."""

Assault = Callable[[], Awaitable[int]]
"""Returns how many frames, or what passes for them, were sent."""


class Crook:
    """Sends what it has heard, broken in every way."""

    def __init__(self, config: Path, target: Path, seed: int) -> None:
        settings = load_config(target)
        self._identity = Identity.load(load_config(config).members[0])
        self._roster = load_genesis(settings.genesis).roster
        self._address, self._tls = settings.listen, settings.tls
        self._random = Random(seed)
        self._heard: list[bytes] = [b"\x93\x00\x01\x02"]

    async def as_member(self) -> int:
        """One connection with a good handshake, and then hardly a good frame."""
        sent = 0
        async with raw(self._address, self._tls) as link:
            await link.shake([self._identity], self._roster)
            hears = asyncio.create_task(self._listen(link))
            while sent < BURST and not hears.done():
                await link.socket.send_bytes(self._message())
                sent += 1
                if sent % 20 == 0:
                    await asyncio.sleep(0)
            hears.cancel()
        return sent

    async def as_stranger(self) -> int:
        """Frames without a handshake, or with a wrong one."""
        async with raw(self._address, self._tls) as link:
            if self._random.random() < 0.5:
                await link.shake([IDENTITIES[0]], self._roster)
            await link.socket.send_bytes(self._random.randbytes(self._random.randrange(1, 500)))
        return 1

    async def as_nobody(self) -> int:
        """Bytes that are no TLS, or half of a request."""
        host, _, port = self._address.rpartition(":")
        context: ssl.SSLContext | None = None
        if self._tls is not None and self._random.random() < 0.5:
            context = client_context(self._tls)
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        writer.write(b"GET /peer HTTP/1.1\r\nHost: " + self._random.randbytes(self._random.randrange(200)))
        try:
            await writer.drain()
        finally:
            writer.transport.abort()
        return 1

    async def _listen(self, link: Raw) -> None:
        """Remember some of what honest members say, until the node has had enough."""
        async for message in link.socket:
            with suppress(Refused):
                self._heard.append(decode(message.data).frame)
            if len(self._heard) > SAMPLES:
                del self._heard[self._random.randrange(SAMPLES)]

    def _message(self) -> bytes:
        random = self._random
        frame = bytearray(random.choice(self._heard))
        match random.randrange(6):
            case 0:
                frame = bytearray(random.randbytes(random.randrange(400)))
            case 1:
                del frame[random.randrange(len(frame) + 1) :]
            case 2:
                frame += random.choice(self._heard)
            case 3:
                return bytes(frame)  # no envelope
            case 4:
                return encode(Envelope(random.randrange(4), (random.randrange(4),), bytes(frame)))
            case _:
                for _ in range(random.randrange(1, 4)):
                    if frame:
                        frame[random.randrange(len(frame))] = random.randrange(256)
        return encode(Envelope(0, (0,), bytes(frame)))


async def assail(crook: Crook, frames: int) -> int:
    """Send so many, from every side at once."""
    sent, assaults = 0, [crook.as_member, crook.as_member, crook.as_stranger, crook.as_nobody]
    while sent < frames:
        counts = await asyncio.gather(*(assault() for assault in assaults), return_exceptions=True)
        for count in counts:
            if isinstance(count, int):
                sent += count
            elif not isinstance(count, OSError | ClientError | TimeoutError):
                raise count
    await asyncio.sleep(CLOSED_S)
    return sent


def forgiving(config: Path) -> Path:
    """A node that takes a crook back at once: else it would be rid of it after a handful of frames."""
    text = config.read_text() + "\n[budgets]\nrefuse_s = 0.0\nerrors = 1000\nmessages_per_second = 100000\n"
    config.write_text(text)
    return config


def refusals(daemon: Daemon) -> dict[str, float]:
    """Why the node has refused whom, as its metrics have it."""
    settings = load_config(daemon.config)
    assert settings.tls is not None
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=client_context(settings.tls)))
    with opener.open(f"https://{settings.listen}/metrics", timeout=10) as answer:
        rows = [line.split() for line in answer.read().decode().splitlines() if line.startswith("qorum_refused_total{")]
    return {name.split('"')[1]: float(count) for name, count in rows}


def memory_mb(daemon: Daemon) -> float:
    return int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.mark.parametrize("frames", [10_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_no_frame_brings_a_node_down_or_makes_it_grow_while_honest_rounds_go_on(tmp_path: Path, frames: int) -> None:
    config = msgspec.structs.replace(QUICK, sync_interval_ms=500)
    configs = [forgiving(path) for path in federation(tmp_path / "f", 4, 4, config)]
    crook = Crook(configs[CROOK], configs[0], seed=frames)
    honest = [Daemon(path, "--task", "grid", "--rate", "20") for path in configs[:CROOK]]
    try:
        until(lambda: all(d.status().members[0].round >= 2 for d in honest), "honest members agree", every_s=0.1)
        asyncio.run(assail(crook, frames // 10))  # so that pools and caches have their size
        memory, round, begun = memory_mb(honest[0]), honest[0].status().members[0].round, time.monotonic()
        sent = asyncio.run(assail(crook, frames))
        seconds = time.monotonic() - begun
        print(f"{sent} frames in {seconds:.0f} s; memory {memory:.0f} to {memory_mb(honest[0]):.0f} MB")
        assert memory_mb(honest[0]) < memory + GROWTH_MB
        until(lambda: all(d.status().members[0].round > round + 2 for d in honest), "rounds go on", every_s=0.1)
        why = refusals(honest[0])
        assert why["malformed"] > 0
        assert why["not_tls"] > 0
        for daemon in honest:
            account, log = daemon.end()
            faults = [event for event in log if event["event"] in FAULTS]
            assert not faults, faults[0].get("traceback", faults[0])
            assert not [error for error in account["errors"] if "stopped" in error]
    finally:
        for daemon in honest:
            if daemon.process.poll() is None:
                daemon.kill()
