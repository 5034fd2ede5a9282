"""What every transport promises, of each of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qorum.node.envelope import ENVELOPE_LIMIT
from qorum.node.transport import Closed, Connection
from tests.node.carriers import Carrier
from tests.node.ends import End
from tests.node.network import PATIENCE_S


@asynccontextmanager
async def connected(carrier: Carrier) -> AsyncIterator[tuple[Connection, Connection]]:
    """Both ends of a connection: the dialler's first."""
    one, two = End(carrier.config()), End(carrier.config())
    async with one.up(), two.up(), asyncio.timeout(3 * PATIENCE_S):
        mine, theirs = await one.dial(two)
        try:
            yield mine, theirs
        finally:
            await asyncio.gather(mine.close("over"), theirs.close("over"))


def test_messages_arrive_whole_and_in_order_both_ways(carrier: Carrier) -> None:
    sizes = [0, 1, 500, ENVELOPE_LIMIT, 7, 100_000] + 100 * [64]
    messages = [size.to_bytes(4, "big") + bytes(max(size - 4, 0)) for size in sizes]

    async def say(connection: Connection) -> None:
        for message in messages:
            await connection.send(message)

    async def hear(connection: Connection) -> list[bytes]:
        return [await connection.receive() for _ in messages]

    async def scene() -> None:
        async with connected(carrier) as (mine, theirs):
            heard = await asyncio.gather(hear(mine), hear(theirs), say(mine), say(theirs))
            assert heard[:2] == [messages, messages]

    asyncio.run(scene())


def test_both_ends_see_the_same_and_nobody_is_in_between(carrier: Carrier) -> None:
    async def scene() -> None:
        async with connected(carrier) as (mine, theirs):
            assert mine.certificate == theirs.certificate
            assert len(mine.certificate) == 32
            assert mine.is_private
            assert theirs.is_private
            assert mine.peer != theirs.peer

    asyncio.run(scene())


def test_what_was_said_before_the_end_arrives_and_then_the_reason(carrier: Carrier) -> None:
    async def scene() -> None:
        async with connected(carrier) as (mine, theirs):
            for number in range(10):
                await mine.send(bytes([number]))
            closing = asyncio.create_task(mine.close("errors"))
            assert [await theirs.receive() for _ in range(10)] == [bytes([number]) for number in range(10)]
            with pytest.raises(Closed, match=r"^errors$"):
                await theirs.receive()
            with pytest.raises(Closed):
                await theirs.receive()
            with pytest.raises(Closed):
                await theirs.send(b"too late")
            await theirs.close("closed")
            await closing
            with pytest.raises(Closed):
                await mine.send(b"too late as well")

    asyncio.run(scene())


def test_two_that_end_it_at_once_do_not_wait_for_each_other(carrier: Carrier) -> None:
    async def scene() -> None:
        async with connected(carrier) as (mine, theirs):
            await asyncio.gather(mine.close("errors"), theirs.close("duplicate"), mine.close("again"))

    asyncio.run(scene())


def test_whoever_does_not_read_makes_the_other_end_wait(carrier: Carrier) -> None:
    async def scene() -> None:
        async with connected(carrier) as (mine, theirs):
            sent = 0

            async def write() -> None:
                nonlocal sent
                while True:
                    await mine.send(bytes(ENVELOPE_LIMIT))
                    sent += 1

            writing = asyncio.create_task(write())
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
            assert 0 < sent * ENVELOPE_LIMIT < 50_000_000, "so much is in buffers, and no more"
            await theirs.send(b"the other way is free")
            assert await mine.receive() == b"the other way is free"
            for _ in range(sent + 5):
                reading = asyncio.ensure_future(theirs.receive())
                if carrier.is_zenoh:  # its window is opened by who reads
                    while not reading.done():
                        await _take_turns(mine, reading)
                assert len(await reading) == ENVELOPE_LIMIT
            writing.cancel()

    asyncio.run(scene())


async def _take_turns(mine: Connection, reading: asyncio.Future[bytes]) -> None:
    hearing = asyncio.ensure_future(mine.receive())
    await asyncio.wait([hearing, reading], return_when=asyncio.FIRST_COMPLETED)
    hearing.cancel()
    await asyncio.wait([hearing])


def test_an_end_that_is_gone_closes_the_connection(carrier: Carrier) -> None:
    async def scene() -> None:
        one, two = End(carrier.config()), End(carrier.config())
        async with one.up(), asyncio.timeout(3 * PATIENCE_S):
            async with two.up():
                mine, theirs = await one.dial(two)
                await mine.send(b"hello")
                assert await theirs.receive() == b"hello"
                if two.zenoh is not None and two.zenoh._session is not None:
                    two.zenoh._session.close()  # no farewell
                else:
                    theirs._socket._writer.transport.abort()  # type: ignore[attr-defined]
                with pytest.raises(Closed):
                    await mine.receive()
            with pytest.raises(Closed):
                await _send_on(mine)
            await mine.close("closed")
            with pytest.raises(Closed):
                await one.transport.connect(two.address)

    asyncio.run(scene())


async def _send_on(connection: Connection) -> None:
    while True:
        await connection.send(b"nobody is there")


@pytest.mark.parametrize(
    ("library", "module", "extra"),
    [
        ("aiohttp", "websocket", "node"),
        ("aiohttp", "node", "node"),
        ("prometheus_client", "node", "node"),
        ("zenoh", "zenoh_transport", "zenoh"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(library: str, module: str, extra: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import qorum.node.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"pip install 'qorum[{extra}]'" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("qorum.errors.MissingExtra")


def test_a_node_on_websockets_does_not_import_zenoh() -> None:
    code = "import sys, qorum.node.node; assert 'zenoh' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
