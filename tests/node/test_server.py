"""The one port: the API, who may use it, and health; over real sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import urllib.error
import urllib.request
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pytest
from aiohttp import web

from qorum.core.messages import Evict
from qorum.errors import ConfigError, QorumError
from qorum.node.attach import Line, attach
from qorum.node.certificates import client_context, server_context
from qorum.node.host import Host
from qorum.node.metrics import Metrics
from qorum.node.petition_file import PetitionFile
from qorum.node.records import Filed, RosterView
from qorum.node.refusals import Refusals
from qorum.node.server import Server
from qorum.node.status import NodeStatus, Seconds, member_status, standing_of, tolerance_of
from tests.node.builders import Neighbours, until
from tests.node.network import tls_in


class Served:
    """Four members behind one server, of which one answers to the API as `agent`."""

    def __init__(self, four: Neighbours) -> None:
        self.four = four
        self.ready: str | None = None
        self.counts = Metrics()
        self.asked: list[PetitionFile] = []

    def host(self, member: str | int | None) -> Host:
        names = {"agent": 0, **{str(me): me for me in range(4)}}
        if str(member) not in names:
            raise ConfigError(f"no member {member!r} here")
        return self.four.hosts[names[str(member)]]

    def metrics(self) -> bytes:
        return b"qorum_rounds_total 1\n"

    @property
    def roster(self) -> RosterView:
        state = self.four.hosts[0].member.state
        return RosterView.of(state.roster, state.round)

    def petition(self, file: PetitionFile) -> None:
        file.check(self.roster)
        self.asked.append(file)

    def status(self) -> NodeStatus:
        hosts = list(self.four.hosts.values())
        return NodeStatus(
            federation=self.four.genesis.federation.hex(), version="0", uptime_s=1.0, listen="", data="",
            state=standing_of(hosts, 4), tolerance=tolerance_of(hosts[0]), founders=4,
            members=tuple(member_status(host, f"agent-{host.me}") for host in hosts), links=(), rounds_committed=0,
            sync_latency_s=Seconds.of([1.0, 2.0, 3.0]), excluded=(), rss_mb=1.0,
        )  # fmt: skip


async def no_peer(request: web.Request) -> web.Response:
    raise web.HTTPNotFound


@asynccontextmanager
async def serving(token: str | None = None, tls: SSLContext | None = None) -> AsyncIterator[tuple[Served, str]]:
    four = Neighbours(4)
    node = Served(four)
    server = Server(node, "127.0.0.1:0", no_peer, Refusals(node.counts), token=token, tls=tls)
    await server.start()
    try:
        yield node, f"127.0.0.1:{server.port}"
    finally:
        four.end()
        await server.stop()


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 30))


async def fetch(url: str, body: Any = None, **headers: str) -> tuple[int, str]:
    """(status, text)."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if data is not None:
        headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"http://{url}", data, headers)

    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def say(address: str, words: bytes) -> bytes:
    """The answer to these bytes."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(words)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "words", [b"\x16\x03\x01\n\n", b"GET / HTTP/1.1\r\nHost: \x00\xff\r\n\r\n"], ids=["method", "header"]
)
def test_what_is_no_http_is_refused_and_counted_and_fills_no_log(
    words: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            for _ in range(30):
                assert b" 400 " in await say(address, words)
            name, labels = "qorum_refused_total", {"reason": "malformed"}
            assert node.counts.registry.get_sample_value(name, labels) == 30
            assert await fetch(f"{address}/healthz") == (200, "alive\n")

    with caplog.at_level(logging.INFO):
        run(scene)
    assert {record.name for record in caplog.records} == {"qorum.node"}
    assert len(caplog.records) == 20
    assert "no HTTP" in caplog.records[0].facts["why"]  # type: ignore[attr-defined]


def test_a_fault_in_an_answer_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            node.metrics = lambda: 1 // 0  # type: ignore[method-assign, return-value, assignment]
            status, _ = await fetch(f"{address}/metrics")
            assert status == 500

    run(scene)
    [record] = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("qorum.node", "ERROR", "request failed")
    assert "ZeroDivisionError" in caplog.text


def test_it_ends_though_others_do_not_close_their_end(tmp_path: Path) -> None:
    tls = tls_in(tmp_path)

    async def scene() -> socket.socket:
        async with serving(tls=server_context(tls, lambda refused: None)) as (_, address):
            return await asyncio.to_thread(connect, address)

    def connect(address: str) -> socket.socket:
        host, port = address.split(":")
        return client_context(tls).wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)

    with asyncio.run(scene()) as deaf, warnings.catch_warnings(record=True) as left:
        gc.collect()
        assert [str(warning.message) for warning in left] == []
        deaf.settimeout(10)
        with suppress(OSError):
            assert deaf.recv(1) == b""


def test_health_readiness_and_metrics() -> None:
    async def scene() -> None:
        async with serving("secret") as (node, address):
            assert await fetch(f"{address}/healthz") == (200, "alive\n")
            assert await fetch(f"{address}/readyz") == (200, "ready\n")
            node.ready = "store failed: disk full"
            assert await fetch(f"{address}/readyz") == (503, "store failed: disk full\n")
            assert await fetch(f"{address}/metrics") == (200, "qorum_rounds_total 1\n")

    run(scene)


def test_steps_become_a_contribution_and_the_agreed_table_can_be_read() -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            member = f"{address}/api/v1/members/agent"
            big = 2**64 - 1
            steps = {"state_hash": [str(big), 5], "action": [1, 2], "reward": [0.5, 0.25]}
            steps |= {"next_hash": [5, 6], "terminated": [False, True]}
            assert await fetch(f"{member}/observe", steps) == (200, '{"interactions":2,"round":0}')
            status, text = await fetch(f"{member}/sync", {"timeout_s": 10})
            assert (status, json.loads(text)["agreed"]) == (200, True)
            status, text = await fetch(f"{member}/table?what=agreed")
            table = json.loads(text)
            assert status == 200
            assert table["round"] == node.host("agent").member.state.round
            assert (table["state_hash"], table["action"]) == (["5", str(big)], [2, 1])
            assert table["value"] == [0.25, 0.5]
            status, text = await fetch(f"{address}/api/v1/status")
            assert json.loads(text)["members"][0]["interactions"] == 2
            assert json.loads(text)["state"] == "agreeing"

    run(scene)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("members/nobody/table", None, 400, "no member 'nobody'"),
        ("members/agent/table?what=else", None, 400, "allowed: view, agreed"),
        ("members/agent/observe", b"{", 400, "cannot read the request"),
        ("members/agent/observe", b'{"\xff": 1}', 400, "cannot read the request"),
        ("members/agent/observe", {"state_hash": [1]}, 400, "missing required field"),
        ("members/agent/sync", {"timeout_s": 1e9}, 400, "allowed: 0 to 600"),
        ("members/agent/sync", {"timeout": 1}, 400, "unknown field"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(path: str, body: Any, status: int, says: str) -> None:
    async def scene() -> None:
        async with serving() as (_, address):
            answer = await fetch(f"{address}/api/v1/{path}", body)
            assert answer[0] == status
            assert says in answer[1]

    run(scene)


def test_a_refused_step_leaves_those_before_it() -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            steps = {"state_hash": [1, 2], "action": [0, 9], "reward": [0, 0], "next_hash": [2, 3]}
            url = f"{address}/api/v1/members/agent/observe"
            status, text = await fetch(url, {**steps, "terminated": [False, False]})
            assert status == 400
            assert "refused action 9" in text
            assert node.host("agent").table.agent.interactions == 1
            status, text = await fetch(url, {**steps, "terminated": [False]})
            assert (status, node.host("agent").table.agent.interactions) == (400, 1)
            assert "columns of different lengths" in text

    run(scene)


def test_an_api_with_a_token_wants_it() -> None:
    async def scene() -> None:
        async with serving("secret") as (_, address):
            url = f"{address}/api/v1/status"
            assert (await fetch(url))[0] == 401
            assert (await fetch(url, Authorization="Bearer secrets"))[0] == 401
            assert (await fetch(url, Authorization="Bearer secret"))[0] == 200

    run(scene)


def test_an_api_without_a_token_is_for_this_machine_and_not_for_pages_in_its_browser() -> None:
    async def scene() -> None:
        async with serving() as (_, address):
            url = f"{address}/api/v1/status"
            assert (await fetch(url, Host="evil.example"))[0] == 403
            assert (await fetch(url, Host="localhost:1"))[0] == 200
            sync = f"{address}/api/v1/members/agent/sync"
            assert (await fetch(sync, b"{}", **{"Content-Type": "text/plain"}))[0] == 415

    run(scene)


@pytest.mark.parametrize("listen", ["0.0.0.0:7400", "10.0.0.1:7400", "[::]:7400", "example.org:7400"])
def test_no_address_that_others_reach_without_a_token(listen: str) -> None:
    async def scene() -> None:
        four = Neighbours(4)
        four.end()
        with pytest.raises(ConfigError, match="no token"):
            Server(Served(four), listen, no_peer, Refusals(Metrics()))

    run(scene)


def test_a_taken_port_is_an_error_that_names_it() -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            server = Server(node, address, no_peer, Refusals(Metrics()))
            with pytest.raises(ConfigError, match=f"cannot listen on {address}"):
                await server.start()

    run(scene)


def test_an_attached_agent_learns_with_the_fleet() -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            fed = await asyncio.to_thread(attach, address, "agent")
            agent = await asyncio.to_thread(fed.agent, seed=1)

            def live() -> None:
                for step in range(30):
                    agent.learn(step % 5, agent.act(step % 5), 0.5, (step + 1) % 5, False)

            await asyncio.to_thread(live)
            await until(lambda: node.host("agent").member.state.round >= 1, "the node contributes of its own accord")
            result = await asyncio.to_thread(fed.sync)
            assert result.round >= 1
            assert node.host("agent").table.agent.interactions == 30
            assert await asyncio.to_thread(lambda: fed.agreed_table) == node.host("agent").table.agreed_table
            other = node.four.hosts[3].table.agent
            assert agent.greedy(0) == other.greedy(0)
            assert (await asyncio.to_thread(fed.status)).members[0].interactions == 30
            await asyncio.to_thread(fed.close)

    run(scene)


def test_attaching_in_vain_says_why() -> None:
    async def scene() -> None:
        async with serving("secret") as (_, address):
            with pytest.raises(QorumError, match="401 this API needs its token"):
                await asyncio.to_thread(attach, address, "agent")
            with pytest.raises(QorumError, match="no member 'nobody'"):
                await asyncio.to_thread(lambda: attach(address, "nobody", token="secret"))
            fed = await asyncio.to_thread(lambda: attach(address, token="secret"))
            with pytest.raises(QorumError, match=r"agent has gamma 0\.5, the federation 0\.95"):
                await asyncio.to_thread(lambda: fed.agent(gamma=0.5))
        with pytest.raises(QorumError, match="does not answer"):
            await asyncio.to_thread(attach, address, "agent")

    run(scene)


def test_who_the_members_are_can_be_asked_and_a_change_of_them_asked_for() -> None:
    async def scene() -> None:
        async with serving() as (node, address):
            line = Line(address, 0, None, None)
            roster = await asyncio.to_thread(line.ask, "roster", RosterView)
            keys = [identity.public_key.hex() for identity in node.four.identities]
            assert [seat.keys for seat in roster.seats] == [(key,) for key in keys]
            assert (roster.quorum, roster.active, roster.round, roster.epoch) == (3, 4, 0, 0)
            file = PetitionFile.of(node.four.genesis.federation, Evict(3, 0)).endorsed(node.four.identities[:3])
            assert await asyncio.to_thread(line.ask, "petition", Filed, file) == Filed(round=0)
            assert node.asked == [file]
            stale = PetitionFile.of(node.four.genesis.federation, Evict(3, 1))
            with pytest.raises(QorumError, match="400 the petition is out of date"):
                await asyncio.to_thread(line.ask, "petition", Filed, stale)
            status, says = await fetch(f"{address}/api/v1/petition", {"ask": "evict"})
            assert (status, "missing required field" in says) == (400, True)

    run(scene)
