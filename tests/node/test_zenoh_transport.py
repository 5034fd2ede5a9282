"""Links over Zenoh, where whoever is attached may say anything under any key: sessions of Zenoh on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import zenoh

from qorum.errors import ConfigError
from qorum.node.config import Zenoh
from qorum.node.refused import Reason, Refused
from qorum.node.transport import Closed, Connection
from qorum.node.up import free_addresses
from qorum.node.zenoh_connection import SEALED_LIMIT, TAKEN, WINDOW, ZenohConnection
from qorum.node.zenoh_transport import DIAL_LIMIT, VERSION, Dial
from tests.node.authority import Authority
from tests.node.carriers import Carrier
from tests.node.ends import FEDERATION, End
from tests.node.network import IDENTITIES, PATIENCE_S, Station, running, until

FIRST, LAST = "0" * 32, "f" * 32
"""The names of two nodes, of which the first dials."""


@pytest.fixture
def routed() -> Iterator[Carrier]:
    """Nodes are clients of one router."""
    with Carrier("zenoh-router").running() as carrier:
        yield carrier


@contextmanager
def attached(carrier: Carrier) -> Iterator[zenoh.Session]:
    """Somebody else on the network."""
    config = zenoh.Config()
    for name, value in {"mode": "client", "connect/endpoints": [carrier.router]}.items():
        config.insert_json5(name, json.dumps(value))
    with zenoh.open(config) as session:
        yield session


class Overheard:
    """All that is published."""

    def __init__(self, session: zenoh.Session) -> None:
        self.samples: list[tuple[str, bytes]] = []
        self._subscriber = session.declare_subscriber("**", self._hear)

    def _hear(self, sample: zenoh.Sample) -> None:
        self.samples.append((str(sample.key_expr), bytes(sample.payload)))


def goes_by(end: End, id: str) -> None:
    assert end.zenoh is not None
    end.zenoh.id = id


def test_nodes_find_each_other_and_notice_who_is_gone(routed: Carrier) -> None:
    async def scene() -> None:
        one, two, stranger = End(routed.config()), End(routed.config()), End(routed.config(), b"another".ljust(32))
        goes_by(one, FIRST)
        goes_by(two, LAST)
        async with one.up(), stranger.up():
            async with two.up():
                await until(lambda: one.seen == {LAST: True})
            await until(lambda: one.seen == {LAST: False})
            assert two.seen == {}, "of two one dials"
            assert stranger.seen == {}, "another federation"

    asyncio.run(scene())


def test_what_others_put_under_its_keys_changes_nothing_and_tells_them_nothing(routed: Carrier) -> None:
    async def scene() -> None:
        one, two = Station([0], over=routed), Station([1], over=routed)
        with attached(routed) as session:
            overheard = Overheard(session)
            async with running(one, two):
                await until(lambda: one.reaches(1) and two.reaches(0))
                one.links.send(0, [1], b"a secret of sixteen bytes and more")
                await until(lambda: two.received)
                recorded = list(overheard.samples)
                for key, sealed in recorded:  # replayed, at both ends, and changed
                    for end in ("dialler", "listener"):
                        session.put(f"{key.rpartition('/')[0]}/{end}", sealed)
                    session.put(key, sealed[:-1] + bytes([sealed[-1] ^ 1]))
                    session.put(key, bytes(SEALED_LIMIT + 1))
                    session.put(key, b"")
                    session.delete(key)
                await until(lambda: one.value("qorum_dropped_frames_total", why="forged") >= 4)
                await until(lambda: two.value("qorum_dropped_frames_total", why="forged") >= 4)
                two.links.send(1, [0], b"as before")
                await until(lambda: one.received == [(0, 1, b"as before")])
                assert len(two.received) == 1
                assert one.value("qorum_blames_total") == two.value("qorum_blames_total") == 0
            assert recorded
            assert all(b"a secret" not in sealed for _, sealed in recorded)

    asyncio.run(scene())


def test_whoever_is_in_between_with_keys_of_its_own_is_found_out() -> None:
    """Two networks, and one attached to both that passes everything on."""

    async def pass_on(source: Connection, target: Connection) -> None:
        while True:
            await target.send(await source.receive())

    async def between(here: End, there: End) -> None:
        """To whoever dials here it is the node that is there."""
        mine, victim = None, await here._accepted.get()
        async with asyncio.timeout(PATIENCE_S):
            while not (found := [id for id, is_there in there.seen.items() if is_there]):
                await asyncio.sleep(0.01)
            mine = await there.transport.connect(found[0])
        with suppress(Closed):
            await asyncio.gather(pass_on(victim, mine), pass_on(mine, victim))
        await asyncio.gather(victim.close("closed"), mine.close("closed"))

    async def scene() -> None:
        near, far = Carrier("zenoh-peers"), Carrier("zenoh-peers")
        one, two = Station([0], over=near), Station([1], over=far)
        federation = one.links._roster.federation
        here, there = End(near.config(), federation), End(far.config(), federation)
        goes_by(here, LAST)
        goes_by(there, FIRST)
        async with running(one, two), here.up(), there.up():
            task = asyncio.create_task(between(here, there))
            await until(lambda: two.refused(Reason.WRONG_CERTIFICATE) + one.refused(Reason.WRONG_CERTIFICATE))
            assert not one.reaches(1)
            assert not two.reaches(0)
            await asyncio.wait([task])

    asyncio.run(scene())


@asynccontextmanager
async def pair(carrier: Carrier) -> AsyncIterator[tuple[ZenohConnection, ZenohConnection]]:
    one, two = End(carrier.config()), End(carrier.config())
    async with one.up(), two.up(), asyncio.timeout(PATIENCE_S):
        mine, theirs = await one.dial(two)
        assert isinstance(mine, ZenohConnection)
        assert isinstance(theirs, ZenohConnection)
        yield mine, theirs
        await asyncio.gather(mine.close("over"), theirs.close("over"))


def test_whoever_sends_more_than_is_taken_is_refused() -> None:
    async def scene() -> None:
        async with pair(Carrier("zenoh-peers")) as (mine, theirs):
            mine._on_way = -10 * WINDOW
            with suppress(Closed):
                for _ in range(20):
                    await mine.send(bytes(WINDOW // 10))
            await until(lambda: theirs._inbox.over)
            with pytest.raises(Refused) as refused:
                await _read_on(theirs)
            assert refused.value.reason is Reason.TOO_FAST

    asyncio.run(scene())


async def _read_on(connection: Connection) -> None:
    while True:
        await connection.receive()


@pytest.mark.parametrize("message", [TAKEN + b"\1", TAKEN + (1).to_bytes(8, "big"), b"\7", b""])
def test_what_no_honest_end_says_is_malformed(message: bytes) -> None:
    async def scene() -> None:
        async with pair(Carrier("zenoh-peers")) as (mine, theirs):
            await mine._post(message)
            with pytest.raises(Refused) as refused:
                await theirs.receive()
            assert refused.value.reason is Reason.MALFORMED

    asyncio.run(scene())


def test_a_message_that_does_not_get_through_ends_the_connection() -> None:
    async def scene() -> None:
        async with pair(Carrier("zenoh-peers")) as (mine, theirs):
            mine._seal.close(b"left out by who carries it")
            await mine.send(b"next")
            with pytest.raises(Closed, match="lost on the way"):
                await theirs.receive()

    asyncio.run(scene())


def ask(session: zenoh.Session, id: str, payload: bytes | None) -> str:
    """What is answered to a dial that is none, once the node is there."""
    key, replies = f"qorum/{FEDERATION.hex()[:32]}/dial/{id}", []
    while not replies:
        replies = list(session.get(key, payload=payload, timeout=PATIENCE_S))
    return "" if replies[0].err is None else replies[0].err.payload.to_string()


def dial_of(**fields: object) -> bytes:
    whole = {"version": VERSION, "node": "0" * 32, "link": "1" * 32, "half": bytes(31) + b"\1"}
    return msgspec.msgpack.encode(list((whole | fields).values()))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (None, "no dial"),
        (b"", "no dial"),
        (bytes(DIAL_LIMIT + 1), "no dial"),
        (dial_of(link="../" + "1" * 29), "no dial"),
        (dial_of(half=bytes(32)), "no dial"),
        (dial_of(half=b"short"), "no dial"),
        (dial_of(version=VERSION + 1), "version"),
    ],
    ids=["nothing", "empty", "large", "no-name", "known-secret", "no-key", "version"],
)
def test_a_dial_that_is_none_is_told_so(payload: bytes | None, said: str, routed: Carrier) -> None:
    async def scene() -> None:
        one = End(routed.config())
        async with one.up():
            with attached(routed) as session:
                answer = asyncio.to_thread(ask, session, one.address, payload)
                assert await asyncio.wait_for(answer, PATIENCE_S) == said
            assert not one._accepted.qsize()

    assert msgspec.msgpack.decode(dial_of(), type=Dial).version == VERSION
    asyncio.run(scene())


def test_tokens_of_nobody_and_false_answers_cost_a_dial_and_no_more(routed: Carrier) -> None:
    async def scene() -> None:
        one, two = Station([0], over=routed), Station([1], over=routed)
        root = f"qorum/{one.links._roster.federation.hex()[:32]}"
        with attached(routed) as session:
            nobody = [f"{16**32 - 1 - number:032x}" for number in range(3)]
            tokens = [session.liveliness().declare_token(f"{root}/node/{id}") for id in nobody]
            dial = f"{root}/dial/{nobody[1]}"
            liar = session.declare_queryable(dial, lambda query: query.reply(query.key_expr, b"me"))
            async with running(one, two):
                await until(lambda: one.reaches(1) and two.reaches(0))
                await until(lambda: one.value("qorum_dials_total", outcome="failed") >= 3)
                states = {link.peer: link.state for link in one.links.status()}
                assert states[nobody[1]] == "it does not answer as it should"
                assert states[nobody[2]] == "nobody answers there"
                liar.undeclare()
                for token in tokens:
                    token.undeclare()
                await until(lambda: not any(link.peer in nobody for link in one.links.status()))

    asyncio.run(scene())


def test_a_client_comes_up_without_a_router_and_links_once_there_is_one_again() -> None:
    async def scene() -> None:
        carrier = Carrier("zenoh-router")
        one, two = Station([0], over=carrier), Station([1], over=carrier)
        async with running(one, two):
            assert not one.reaches(1)
            for _ in range(2):
                router = carrier.routing()
                await asyncio.to_thread(router.__enter__)
                await until(lambda: one.reaches(1) and two.reaches(0), "both are linked")
                await asyncio.to_thread(router.__exit__, None, None, None)
                await until(lambda: not one.reaches(1) and not two.reaches(0), "both notice")

    asyncio.run(scene())


class Fixed(Carrier):
    """One and the same configuration for each."""

    def __init__(self, zenoh: Zenoh) -> None:
        super().__init__("zenoh-peers")
        self._zenoh = zenoh

    def config(self) -> Zenoh:
        return self._zenoh


def test_a_peer_goes_on_trying_what_it_connects_to() -> None:
    async def scene() -> None:
        endpoint = f"tcp/{free_addresses(1)[0]}"
        one = Station([0], over=Fixed(Zenoh(connect=(endpoint,))))
        async with running(one):
            for _ in range(2):
                two = Station([1], over=Fixed(Zenoh(listen=(endpoint,))))
                async with running(two):
                    await until(lambda two=two: one.reaches(1) and two.reaches(0), "both are linked")
                await until(lambda: not one.reaches(1), "it notices")

    asyncio.run(scene())


def test_a_peer_that_cannot_listen_says_so() -> None:
    async def scene() -> None:
        carrier = Carrier("zenoh-peers")
        config = carrier.config()
        async with End(config).up():
            again = End(config)
            with pytest.raises(ConfigError, match="cannot open a session") as error:
                await again.transport.start(again._accept, print)
            assert ".rs:" not in str(error.value)
            with pytest.raises(Closed, match="no session"):
                await again.transport.connect("0" * 32)
            await again.transport.stop()

    asyncio.run(scene())


class Secured(Carrier):
    """Peers with TLS, each with certificates of an authority."""

    def __init__(self, folder: Path) -> None:
        super().__init__("zenoh-peers")
        self.authority, self._folder = Authority(folder), folder

    def config(self) -> Zenoh | None:
        plain = super().config()
        assert plain is not None
        tls = self.authority.issue(f"node-{len(self._peers)}")
        listen, connect = ([e.replace("tcp/", "tls/") for e in es] for es in (plain.listen, plain.connect))
        return Zenoh(listen=tuple(listen), connect=tuple(connect), tls=tls)


def test_with_tls_only_those_of_the_authority_are_attached(tmp_path: Path) -> None:
    async def scene() -> None:
        carrier = Secured(tmp_path)
        one, two = Station([0], over=carrier), Station([1], over=carrier)
        (tmp_path / "other").mkdir()
        carrier.authority = Authority(tmp_path / "other")
        three = Station([2], identities=[IDENTITIES[2]], over=carrier)
        async with running(one, two, three):
            await until(lambda: one.reaches(1) and two.reaches(0))
            one.links.send(0, [1], b"hello")
            await until(lambda: two.received == [(1, 0, b"hello")])
            assert not one.links.status()[1:]
            assert not three.links.status()

    asyncio.run(scene())
