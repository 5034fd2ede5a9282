"""Everybody that a node has no dealings with: refused with a reason, counted, logged, and an honest link goes on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from qorum.core.messages import Join, Rekey
from qorum.identity import Identity
from qorum.node.config import Tls
from qorum.node.envelope import ENVELOPE_LIMIT, Envelope, encode
from qorum.node.hello import STRANGERS, Hello
from qorum.node.refused import Reason
from tests.node.crooks import Between, Forger, Raw, raw
from tests.node.network import IDENTITIES, STRANGER, Station, genesis_of, running, tls_in, until

ROSTER = genesis_of().roster

Crook = Callable[[Raw], Awaitable[None]]


async def claims_a_seat_that_there_is_not(crook: Raw) -> None:
    await crook.shake([STRANGER], ROSTER.after(Join(STRANGER.public_key), 7))


async def claims_the_seat_of_another(crook: Raw) -> None:
    await crook.shake([STRANGER], ROSTER.after(Rekey(2, 1, STRANGER.public_key), 7))


async def signs_with_another_key(crook: Raw) -> None:
    await crook.shake([Forger(IDENTITIES[2], STRANGER)])


async def is_of_another_federation(crook: Raw) -> None:
    await crook.shake([IDENTITIES[2]], genesis_of(gamma=0.5).roster)


async def speaks_another_version(crook: Raw) -> None:
    hello = Hello(9, ROSTER.federation, crook.certificate, os.urandom(32), 1, 1)
    await crook.socket.send_bytes(msgspec.msgpack.encode(hello))


async def babbles(crook: Raw) -> None:
    await crook.socket.send_bytes(b"babble")


async def sends_text(crook: Raw) -> None:
    await crook.socket.send_str("text")


async def sends_a_large_hello(crook: Raw) -> None:
    await crook.socket.send_bytes(bytes(100_000))


async def babbles_once_it_is_proven(crook: Raw) -> None:
    await crook.shake([IDENTITIES[2]])
    await crook.socket.send_bytes(msgspec.msgpack.encode([0, [], b"to nobody"]))


async def names_somebody_twice(crook: Raw) -> None:
    await crook.shake([IDENTITIES[2]])
    await crook.socket.send_bytes(encode(Envelope(0, (0,) * 4096, b"a small message, and much work")))


async def hosts_a_crowd_of_strangers(crook: Raw) -> None:
    crowd = [Identity.from_seed(number.to_bytes(32, "big")) for number in range(STRANGERS + 1)]
    await crook.shake(crowd)


async def sends_a_large_message(crook: Raw) -> None:
    await crook.shake([IDENTITIES[2]])
    await crook.socket.send_bytes(bytes(ENVELOPE_LIMIT + 1))


async def breaks_the_websocket(crook: Raw) -> None:
    await crook.shake([IDENTITIES[2]])
    await crook.socket._writer.send_frame(b"x", 0x0B)  # an opcode that there is not


CROOKS: list[tuple[Crook, Reason]] = [
    (claims_a_seat_that_there_is_not, Reason.UNKNOWN_MEMBER),
    (claims_the_seat_of_another, Reason.WRONG_KEY),
    (signs_with_another_key, Reason.WRONG_KEY),
    (is_of_another_federation, Reason.WRONG_FEDERATION),
    (speaks_another_version, Reason.VERSION),
    (babbles, Reason.MALFORMED),
    (sends_text, Reason.MALFORMED),
    (sends_a_large_hello, Reason.OVERSIZED),
    (babbles_once_it_is_proven, Reason.MALFORMED),
    (names_somebody_twice, Reason.MALFORMED),
    (hosts_a_crowd_of_strangers, Reason.OVERSIZED),
    (sends_a_large_message, Reason.OVERSIZED),
    (breaks_the_websocket, Reason.MALFORMED),
]


@asynccontextmanager
async def two_honest_ones(
    tls: Callable[[str], Tls | None] = lambda name: None,
) -> AsyncIterator[tuple[Station, Station]]:
    one = Station([0], tls=tls("one"))
    async with running(one):
        two = Station([1], [one.address], tls=tls("two"))
        async with running(two):
            await until(lambda: one.reaches(1) and two.reaches(0))
            yield one, two
            one.links.send(0, [1], b"still here")
            await until(lambda: two.received == [(1, 0, b"still here")], "the honest link")


def assert_refused(one: Station, reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    assert one.refused(reason) == 1
    told = [record.facts for record in caplog.records if record.message == "refused"]  # type: ignore[attr-defined]
    assert [fact["reason"] for fact in told] == [reason.value]
    assert told[0]["why"]


@pytest.mark.parametrize(("crook", "reason"), CROOKS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_crook_is_refused_and_an_honest_link_goes_on(
    crook: Crook, reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with two_honest_ones() as (one, _), raw(one.address) as connection:
            await crook(connection)
            await until(lambda: one.refused(reason), "the refusal")
            await connection.why_closed()
            assert not one.reaches(2)
            assert_refused(one, reason, caplog)

    asyncio.run(scene())


def test_the_one_who_dials_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            astray = Station([1], [one.address], genesis=genesis_of(gamma=0.5))
            async with running(astray):
                await until(lambda: one.refused(Reason.WRONG_FEDERATION))
                await until(lambda: "wrong_federation" in astray.links.status()[0].state)

    asyncio.run(scene())
    assert "refused by peer" in caplog.messages


def test_a_handshake_recorded_from_the_wire_is_worthless(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with two_honest_ones() as (one, _):
            between = Between(one.address)
            async with between.listening() as address:
                victim = Station([2], [address])
                async with running(victim):
                    await until(lambda: one.reaches(2))
                await until(lambda: not one.reaches(2))
                async with raw(one.address) as replayer:
                    for message in between.heard[:2]:
                        await replayer.socket.send_bytes(message)
                    assert await replayer.why_closed() == Reason.REPLAYED.value
                assert not one.reaches(2)
                assert_refused(one, Reason.REPLAYED, caplog)

    asyncio.run(scene())


def test_a_recorded_handshake_is_worthless_to_a_node_that_has_restarted() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            between = Between(one.address)
            async with between.listening() as address, running(Station([2], [address])):
                await until(lambda: one.reaches(2))
        restarted = Station([0])
        async with running(restarted), raw(restarted.address) as replayer:
            for message in between.heard[:2]:
                await replayer.socket.send_bytes(message)
            await until(lambda: restarted.refused(Reason.WRONG_KEY))
            assert not restarted.reaches(2)

    asyncio.run(scene())


def test_one_in_between_with_another_certificate_is_found_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            two_honest_ones(lambda name: tls_in(tmp_path, name)) as (one, _),
            Between(one.address, tls_in(tmp_path, "between")).listening() as address,
        ):
            victim = Station([2], [address], tls=tls_in(tmp_path, "victim"))
            async with running(victim):
                await until(lambda: one.refused(Reason.WRONG_CERTIFICATE))
                assert not one.reaches(2)
                assert not victim.reaches(0)

    asyncio.run(scene())


def test_one_in_between_that_rewrites_what_the_dialler_saw_is_found_out_by_the_proof(tmp_path: Path) -> None:
    async def scene() -> None:
        async with two_honest_ones(lambda name: tls_in(tmp_path, name)) as (one, _):
            between = Between(one.address, tls_in(tmp_path, "between"))
            async with raw(one.address, tls_in(tmp_path, "look")) as look:
                genuine = look.certificate

            def fit(message: bytes) -> bytes:
                return message.replace(forged, genuine)

            async with between.listening() as address:
                async with raw(address, tls_in(tmp_path, "see")) as see:
                    forged = see.certificate
                between.change = fit
                forward = between._pass_back

                async def back(line: Raw, victim: object) -> None:
                    receive = line.socket.receive

                    async def refit(timeout: float | None = None) -> object:
                        message = await receive(timeout)
                        data = (
                            message.data.replace(genuine, forged) if isinstance(message.data, bytes) else message.data
                        )
                        return message._replace(data=data)

                    line.socket.receive = refit  # type: ignore[assignment, method-assign]
                    await forward(line, victim)  # type: ignore[arg-type]

                between._pass_back = back  # type: ignore[method-assign, assignment]
                victim = Station([2], [address], tls=tls_in(tmp_path, "victim"))
                async with running(victim):
                    await until(lambda: one.refused(Reason.WRONG_KEY))
                    assert not one.reaches(2)
                    assert not victim.reaches(0)

    asyncio.run(scene())


@pytest.mark.parametrize("said", [b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 64, b"hello, is this plain?\n"])
def test_plain_text_on_a_port_that_speaks_tls(said: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with two_honest_ones(lambda name: tls_in(tmp_path, name)) as (one, _):
            reader, writer = await asyncio.open_connection(*one.address.split(":"))
            writer.write(said)
            await until(lambda: one.refused(Reason.NOT_TLS), "the refusal")
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
            assert_refused(one, Reason.NOT_TLS, caplog)

    asyncio.run(scene())


def test_a_node_without_tls_does_not_get_to_one_with(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            two_honest_ones(lambda name: tls_in(tmp_path, name)) as (one, _),
            running(Station([2], [one.address])),
        ):
            await until(lambda: one.refused(Reason.NOT_TLS))
            assert not one.reaches(2)

    asyncio.run(scene())


def test_without_tls_only_this_machine_is_dealt_with_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of other machines are made believe: the tests stay on this one."""
    monkeypatch.setattr("qorum.node.websocket._is_loopback", lambda peer: False)

    async def scene() -> None:
        one = Station([0])
        async with running(one), raw(one.address) as connection:
            assert await connection.why_closed() == Reason.NOT_TLS.value
        trusting = Station([0], insecure=True)
        async with running(trusting), raw(trusting.address) as connection:
            await connection.shake([IDENTITIES[2]])
            await until(lambda: trusting.reaches(2))

    asyncio.run(scene())


def test_whoever_says_nothing_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qorum.node.handshakes.HANDSHAKE_S", 0.2)

    async def scene() -> None:
        async with two_honest_ones() as (one, _), raw(one.address) as silent:
            assert await silent.why_closed() == Reason.TOO_SLOW.value
            assert one.refused(Reason.TOO_SLOW) == 1

    asyncio.run(scene())


def test_silent_strangers_take_up_only_so_many_handshakes_and_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qorum.node.handshakes.HANDSHAKES", 2)

    async def scene() -> None:
        async with two_honest_ones() as (one, _), AsyncExitStack() as open_ones:
            silent = [await open_ones.enter_async_context(raw(one.address)) for _ in range(5)]
            async with running(Station([2], [one.address])):
                await until(lambda: one.reaches(2), "the link of an honest node")
            for stranger in silent[:4]:
                assert await stranger.why_closed() == Reason.BUSY.value
            assert one.refused(Reason.BUSY) == 4

    asyncio.run(scene())


def test_a_flood_of_refusals_is_counted_and_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    from qorum.node.logs import LOGGED
    from qorum.node.metrics import Metrics
    from qorum.node.refusals import Refusals
    from qorum.node.refused import Refused

    metrics = Metrics()
    book = Refusals(metrics)
    for _ in range(10 * LOGGED):
        book.note("somewhere", Refused(Reason.MALFORMED, "babble"))
    book.note("somewhere", Refused(Reason.WRONG_KEY, "another reason is still told"))
    assert metrics.registry.get_sample_value("qorum_refused_total", {"reason": "malformed"}) == 10 * LOGGED
    assert len(caplog.records) <= LOGGED + 2
    assert caplog.records[-1].levelno == logging.WARNING


def test_keys_are_in_no_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)

    async def scene() -> None:
        async with (
            two_honest_ones(lambda name: tls_in(tmp_path, name)) as (one, _),
            raw(one.address, tls_in(tmp_path)) as crook,
        ):
            await signs_with_another_key(crook)

    asyncio.run(scene())
    said = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "PRIVATE KEY" not in said
    for number in range(1, 7):
        assert (bytes([number]) * 32).hex() not in said
        assert repr(bytes([number]) * 32) not in said
