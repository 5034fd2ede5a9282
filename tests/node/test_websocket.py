"""WebSockets as a transport: what goes wrong on the wire comes out as `Closed`, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web

from qorum.node.metrics import Metrics
from qorum.node.refused import Reason
from qorum.node.transport import NO_CERTIFICATE, Closed, Connection
from qorum.node.websocket import CLOSE_CODE, PATH, WebSockets
from tests.node.crooks import raw
from tests.node.network import Station, running, until


async def nobody(connection: Connection) -> None:
    raise AssertionError("nobody dials this one")


@pytest.mark.parametrize(
    "address", ["x" * 70 + ":1", "..:1", "[zz]:1", "127.0.0.1:99999", "127.0.0.1:1", "no-such-host.invalid:1"]
)
def test_whom_it_does_not_get_to_is_closed(address: str) -> None:
    async def scene() -> None:
        transport = WebSockets(None, Metrics())
        await transport.start(nobody, print)
        try:
            with pytest.raises(Closed) as closed:
                await transport.connect(address)
            assert closed.value.why
        finally:
            await transport.stop()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("said", "heard"), [("errors", "errors"), ("\x1b[2Jred\n", "connection lost"), ("", "connection lost")]
)
def test_a_reason_is_passed_on_if_a_terminal_can_show_it(said: str, heard: str) -> None:
    async def farewell(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=CLOSE_CODE, message=said.encode())
        return socket

    async def scene() -> None:
        app = web.Application()
        app.add_routes([web.get(PATH, farewell)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        transport = WebSockets(None, Metrics())
        await transport.start(nobody, print)
        try:
            connection = await transport.connect(f"127.0.0.1:{runner.addresses[0][1]}")
            assert connection.certificate == NO_CERTIFICATE
            assert connection.is_private
            with pytest.raises(Closed) as closed:
                await connection.receive()
            assert closed.value.why == heard
            with pytest.raises(Closed):
                await connection.send(b"too late")
            await connection.close("again")
        finally:
            await transport.stop()
            await runner.cleanup()

    asyncio.run(scene())


def test_a_request_that_is_no_websocket_is_told_so_and_counted() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            async with ClientSession() as session, session.get(f"http://{one.address}{PATH}") as answer:
                assert answer.status == 426
            assert one.refused(Reason.MALFORMED) == 1

    asyncio.run(scene())


def test_nobody_is_taken_in_before_it_is_started_or_after_it_is_stopped() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            async with raw(one.address):
                await until(lambda: len(one.links._handshakes))
            await one.links.stop()
            async with ClientSession() as session, session.get(f"http://{one.address}{PATH}") as answer:
                assert answer.status == 503

    asyncio.run(scene())
