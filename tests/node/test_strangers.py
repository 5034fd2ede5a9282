"""Connections that say nothing: only so many, only for so long, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from qorum.node.metrics import Metrics
from qorum.node.refusals import Refusals
from qorum.node.refused import Reason
from qorum.node.strangers import Strangers
from tests.node.network import until


class Greeter(asyncio.Protocol):
    """Whoever says something is welcome, and hears it back."""

    def __init__(self, strangers: Strangers) -> None:
        self.strangers = strangers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.strangers.welcome(self.transport)
        self.transport.write(data)


@asynccontextmanager
async def greeting(limit: int, patience_s: float) -> AsyncIterator[tuple[Strangers, Metrics, int]]:
    metrics = Metrics()
    strangers = Strangers(Refusals(metrics), limit, patience_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: strangers.watched(Greeter(strangers)), "127.0.0.1", 0)
    try:
        yield strangers, metrics, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scene()

    asyncio.run(bounded())


def refused(metrics: Metrics, reason: Reason) -> float:
    return metrics.registry.get_sample_value("qorum_refused_total", {"reason": reason.value}) or 0


def test_who_says_nothing_is_cut_off_and_who_speaks_is_not() -> None:
    async def scene() -> None:
        async with greeting(limit=8, patience_s=0.2) as (strangers, metrics, port):
            silent, its = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            assert await is_cut(silent)
            assert refused(metrics, Reason.TOO_SLOW) == 1
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"
            assert len(strangers) == 0
            for end in (its, writer):
                end.close()

    run(scene)


def test_one_too_many_and_the_oldest_has_to_go() -> None:
    async def scene() -> None:
        async with greeting(limit=3, patience_s=20.0) as (strangers, metrics, port):
            ends = []
            for count in range(1, 4):
                ends.append(await asyncio.open_connection("127.0.0.1", port))
                await until(lambda count=count: len(strangers) == count)
            ends.append(await asyncio.open_connection("127.0.0.1", port))
            assert await is_cut(ends[0][0])
            assert (len(strangers), refused(metrics, Reason.BUSY)) == (3, 1)
            for reader, writer in ends[1:]:
                writer.write(b"here")
                assert await reader.readexactly(4) == b"here"
            assert len(strangers) == 0
            for _, writer in ends:
                writer.close()

    run(scene)


def test_who_hangs_up_is_no_stranger_any_more() -> None:
    async def scene() -> None:
        async with greeting(limit=3, patience_s=20.0) as (strangers, _, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: len(strangers) == 1)
            writer.close()
            await until(lambda: len(strangers) == 0)

    run(scene)
