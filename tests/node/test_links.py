"""Links between nodes, over real sockets: who is linked to whom, what gets where, and what happens when it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from qorum.core.messages import Join, Leave, Rekey
from qorum.core.wire import MAX_FRAME
from qorum.node.budget import Budgets
from qorum.node.envelope import Envelope, encode
from qorum.node.links import GUEST, REMOTE
from qorum.node.refused import Reason
from qorum.node.up import free_addresses
from tests.node.carriers import Carrier
from tests.node.crooks import raw
from tests.node.network import IDENTITIES, STRANGER, Station, genesis_of, running, tls_in, until

ROSTER = genesis_of().roster


def free_port() -> int:
    return int(free_addresses(1)[0].rpartition(":")[2])


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_frames_get_to_members_of_other_nodes_and_of_the_same(secure: bool, tmp_path: Path) -> None:
    async def scene() -> None:
        one = Station([0, 1], tls=tls_in(tmp_path, "one") if secure else None)
        async with running(one):
            two = Station([2, 3], [one.address], tls=tls_in(tmp_path, "two") if secure else None)
            async with running(two):
                await until(lambda: one.reaches(0, 1, 2, 3) and two.reaches(0, 1, 2, 3))
                one.links.send(0, (1, 2, 3), b"to all")
                two.links.send(3, (0,), b"to one")
                await until(lambda: len(one.received) == 2 and len(two.received) == 2)
                assert sorted(one.received) == [(0, 3, b"to one"), (1, 0, b"to all")]
                assert two.received == [(2, 0, b"to all"), (3, 0, b"to all")]
                assert one.value("qorum_link_messages_total", direction="out") == 1, "a node gets a frame once"

    asyncio.run(scene())


def test_the_largest_frame_gets_through(carrier: Carrier) -> None:
    async def scene() -> None:
        one = Station([0], over=carrier)
        async with running(one):
            two = Station([2, 3], [one.address], over=carrier)
            async with running(two):
                await until(lambda: one.reaches(2, 3))
                one.links.send(0, (2, 3), bytes(MAX_FRAME))
                await until(lambda: len(two.received) == 2)

    asyncio.run(scene())


def test_three_nodes_that_all_dial_each_other_end_with_one_link_a_pair(carrier: Carrier) -> None:
    async def scene() -> None:
        ports = [free_port() for _ in range(3)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        nodes = [
            Station([me], [address for address in addresses if address != addresses[me]], port=ports[me], over=carrier)
            for me in range(3)
        ]
        async with running(*nodes):
            await until(lambda: all(node.reaches(0, 1, 2) and len(node.links.status()) == 2 for node in nodes))
            for me, node in enumerate(nodes):
                node.links.send(me, [0, 1, 2], b"hello")
            await until(lambda: all(len(node.received) == 3 for node in nodes))
            assert all(node.value("qorum_links") == 2 for node in nodes)

    asyncio.run(scene())


def test_two_that_dial_at_once_keep_the_same_link(carrier: Carrier) -> None:
    """Again and again: whichever handshake is done first, at either end."""

    async def scene() -> None:
        for _ in range(5):
            ports = free_port(), free_port()
            one = Station([0], [f"127.0.0.1:{ports[1]}"], port=ports[0], over=carrier)
            two = Station([1], [f"127.0.0.1:{ports[0]}"], port=ports[1], over=carrier)
            await asyncio.gather(one.start(), two.start())
            try:
                await until(lambda one=one, two=two: one.reaches(1) and two.reaches(0))
                for number in range(20):
                    one.links.send(0, [1], bytes([number]))
                    two.links.send(1, [0], bytes([number]))
                    await asyncio.sleep(0.01)
                await until(lambda one=one, two=two: one.value("qorum_links") == two.value("qorum_links") == 1)
                one.links.send(0, [1], b"last")
                await until(lambda two=two: (1, 0, b"last") in two.received)
            finally:
                await one.stop()
                await two.stop()

    asyncio.run(scene())


def test_a_node_that_comes_back_is_linked_again(carrier: Carrier) -> None:
    async def scene() -> None:
        port = free_port()
        two = Station([2], [f"127.0.0.1:{port}"], over=carrier)
        async with running(two):
            for _ in range(3):
                one = Station([0], port=port, over=carrier)
                async with running(one):
                    await until(lambda: two.reaches(0))
                    two.links.send(2, [0], b"again")
                    await until(lambda one=one: one.received == [(0, 2, b"again")])
                await until(lambda: not two.reaches(0))
            told = [] if carrier.is_zenoh else [()]  # an address that was given is told, and what is wrong there
            await until(lambda: [link.members for link in two.links.status()] == told)

    asyncio.run(scene())


def test_a_dead_link_that_nobody_noticed_gives_way_to_a_new_one() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one), raw(one.address) as first:
            await first.shake([IDENTITIES[2]])
            await until(lambda: one.reaches(2))
            async with raw(one.address) as second:
                await second.shake([IDENTITIES[2]])
                assert await first.why_closed() == Reason.DUPLICATE.value
                one.links.send(0, [2], b"to the living")
                message = await second.receive()
                assert msgspec.msgpack.decode(message.data)[2] == b"to the living"

    asyncio.run(scene())


def test_a_stolen_key_takes_no_links_from_others_on_its_node() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            two = Station([1, 2], [one.address])
            async with running(two), raw(one.address) as thief:
                await until(lambda: one.reaches(1, 2) and two.reaches(0))
                await thief.shake([IDENTITIES[2]])
                await until(lambda: one.value("qorum_links") == 2)
                one.links.send(0, [1, 2], b"frame")
                await until(lambda: (1, 0, b"frame") in two.received)
                two.links.send(1, [0], b"back")
                await until(lambda: (0, 1, b"back") in one.received)

    asyncio.run(scene())


def test_a_slow_reader_costs_bounded_memory_and_nobody_else_anything() -> None:
    async def scene() -> None:
        budgets = Budgets(queue_bytes=2_000_000)
        one = Station([0], budgets=budgets)
        async with running(one):
            honest = Station([1], [one.address])
            async with running(honest), raw(one.address) as slow:
                await slow.shake([IDENTITIES[2]])
                await until(lambda: one.reaches(1, 2))
                for number in range(400):
                    one.links.send(0, [2], bytes(100_000))
                    if number % 100 == 0:
                        one.links.send(0, [1], b"on time")
                    await asyncio.sleep(0)
                    assert all(link.queued_bytes <= 2_000_000 for link in one.links.status())
                assert one.value("qorum_dropped_frames_total", why="queue") > 100
                await until(lambda: len(honest.received) == 4)

    asyncio.run(scene())


def test_frames_of_members_that_a_link_does_not_prove_are_dropped_and_blamed() -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(errors=3))
        async with running(one), raw(one.address) as crook:
            await crook.shake([IDENTITIES[2]])
            for envelope in (Envelope(1, (0,), b"as somebody else"), Envelope(0, (5,), b"to nobody")):
                await crook.socket.send_bytes(encode(envelope))
            await crook.socket.send_bytes(encode(Envelope(0, (0,), b"its own")))
            await until(lambda: one.received == [(0, 2, b"its own")])
            assert one.value("qorum_dropped_frames_total", why="unproven") == 2
            assert one.value("qorum_blames_total") == 2
            for _ in range(2):
                await crook.socket.send_bytes(encode(Envelope(1, (0,), b"again")))
            assert await crook.why_closed() == Reason.ERRORS.value
            assert one.refused(Reason.ERRORS) == 1
            async with raw(one.address) as again:
                await again.shake([IDENTITIES[2]])
                assert await again.why_closed() == Reason.ERRORS.value

    asyncio.run(scene())


def test_a_member_that_errs_too_often_is_muted_and_its_neighbours_are_not(carrier: Carrier) -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(errors=2, refuse_s=3600), over=carrier)
        async with running(one):
            two = Station([1, 2], [one.address], over=carrier)
            async with running(two):
                await until(lambda: one.reaches(1, 2) and two.reaches(0))
                for _ in range(3):
                    one.links.blame(2, "broken frame")
                two.links.send(2, [0], b"muted")
                two.links.send(1, [0], b"heard")
                await until(lambda: one.received == [(0, 1, b"heard")])
                assert one.value("qorum_dropped_frames_total", why="muted") == 1
                for _ in range(3):
                    one.links.blame(1, "broken frame")
                await until(lambda: not one.reaches(1))
                assert one.refused(Reason.ERRORS) >= 1

    asyncio.run(scene())


def test_one_that_sends_faster_than_its_budget_is_refused_for_a_while() -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(messages_per_second=10, refuse_s=0.5))
        async with running(one):
            honest = Station([1], [one.address])
            async with running(honest):
                await until(lambda: one.reaches(1) and honest.reaches(0))
                async with raw(one.address) as crook:
                    await crook.shake([IDENTITIES[2]])
                    for _ in range(600):
                        await crook.socket.send_bytes(encode(Envelope(0, (0,), b"flood")))
                    assert await crook.why_closed() == Reason.TOO_FAST.value
                async with raw(one.address) as again:
                    await again.shake([IDENTITIES[2]])
                    assert await again.why_closed() == Reason.ERRORS.value
                assert one.refused(Reason.TOO_FAST) == 1
                for _ in range(300):
                    honest.links.send(1, [0], b"all at once")  # leaves no faster than it was asked to
                one.received.clear()
                await until(lambda: one.received)
                assert one.reaches(1)
                forgiven = Station([2], [one.address])
                async with running(forgiven):
                    await until(lambda: one.reaches(2))

    asyncio.run(scene())


def test_whoever_comes_again_gets_no_new_burst() -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(messages_per_second=1))
        async with running(one):
            for number in (1, 2):
                async with raw(one.address) as crook:
                    await crook.shake([IDENTITIES[2]])
                    for _ in range(30):
                        await crook.socket.send_bytes(encode(Envelope(0, (0,), b"not too many, once")))
                    if number == 1:
                        await until(lambda: len(one.received) == 30)
                    else:
                        assert await crook.why_closed() == Reason.TOO_FAST.value
                await until(lambda: not one.reaches(2))
            assert len(one.received) < 50

    asyncio.run(scene())


def test_a_change_of_membership_gives_no_new_burst_either() -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(messages_per_second=1))
        async with running(one), raw(one.address) as crook:
            await crook.shake([IDENTITIES[2]])
            for _ in range(30):
                await crook.socket.send_bytes(encode(Envelope(0, (0,), b"as much as is allowed")))
            await until(lambda: len(one.received) == 30)
            one.links.update(ROSTER.after(Join(STRANGER.public_key), 7))
            for _ in range(30):
                await crook.socket.send_bytes(encode(Envelope(0, (0,), b"and more")))
            assert await crook.why_closed() == Reason.TOO_FAST.value

    asyncio.run(scene())


def test_too_many_bytes_are_too_fast_as_well() -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(bytes_per_second=1_000))
        async with running(one), raw(one.address) as crook:
            await crook.shake([IDENTITIES[2]])
            for _ in range(40):
                await crook.socket.send_bytes(encode(Envelope(0, (0,), bytes(100_000))))
            assert await crook.why_closed() == Reason.TOO_FAST.value

    asyncio.run(scene())


def test_guests_are_heard_and_answered_by_ids_beyond_all_seats(carrier: Carrier) -> None:
    async def scene() -> None:
        one = Station([0, 1], over=carrier)
        async with running(one):
            guest = Station([], [one.address], identities=[STRANGER], over=carrier)
            async with running(guest):
                await until(lambda: guest.reaches(0, 1))
                assert guest.links.id_of(STRANGER.public_key) == GUEST
                guest.links.send(GUEST, [0, 1], b"may I?")
                await until(lambda: len(one.received) == 2)
                sender = one.received[0][1]
                assert sender >= REMOTE
                one.links.send(0, [sender], b"you may")
                await until(lambda: guest.received == [(GUEST, 0, b"you may")])
                assert one.links.reachable == {0, 1}

    asyncio.run(scene())


def test_guests_that_there_is_no_room_for_are_unknown_members() -> None:
    async def scene() -> None:
        one = Station([0], budgets=Budgets(guests=1))
        async with running(one), raw(one.address) as first, raw(one.address) as second:
            await first.shake([STRANGER])
            await second.shake([IDENTITIES[5]])
            assert await second.why_closed() == Reason.UNKNOWN_MEMBER.value
            assert one.refused(Reason.UNKNOWN_MEMBER) == 1

    asyncio.run(scene())


def test_a_guest_that_is_admitted_is_a_member_on_the_link_it_has(carrier: Carrier) -> None:
    async def scene() -> None:
        one = Station([0], over=carrier)
        async with running(one):
            newcomer = Station([], [one.address], identities=[STRANGER], over=carrier)
            async with running(newcomer):
                await until(lambda: newcomer.reaches(0) and one.value("qorum_links"))
                admitted = ROSTER.after(Join(STRANGER.public_key), 7)
                one.links.update(admitted)
                newcomer.links.update(admitted)
                assert newcomer.links.id_of(STRANGER.public_key) == 4
                assert one.reaches(0, 4)
                newcomer.links.send(4, [0], b"as a member")
                await until(lambda: one.received == [(0, 4, b"as a member")])
                one.links.send(0, [4], b"welcome")
                await until(lambda: newcomer.received == [(4, 0, b"welcome")])
                assert one.value("qorum_links") == 1

    asyncio.run(scene())


def test_those_who_stay_on_a_node_that_somebody_has_left_are_members_at_once() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            two = Station([1, 2], [one.address])
            async with running(two):
                await until(lambda: two.reaches(0) and one.reaches(1, 2))
                left = ROSTER.after(Leave(2, 0), 7)
                one.links.update(left)
                two.links.update(left)
                await until(lambda: one.value("qorum_links") == 0)
                await until(lambda: one.reaches(1) and two.reaches(0))
                assert not one.reaches(2)
                assert [link.modest for link in two.links._links] == [False]

    asyncio.run(scene())


def test_a_new_key_has_the_seat_on_the_next_link(carrier: Carrier) -> None:
    async def scene() -> None:
        one = Station([0], over=carrier)
        async with running(one):
            two = Station([1], [one.address], over=carrier)
            async with running(two):
                await until(lambda: two.reaches(0) and one.reaches(1))
                changed = ROSTER.after(Rekey(1, 1, STRANGER.public_key), 7)
                two.links.update(changed)
                assert two.links.id_of(IDENTITIES[1].public_key) == GUEST
                two.links.replace(IDENTITIES[1].public_key, STRANGER)
                assert two.links.id_of(STRANGER.public_key) == 1
                await until(lambda: not one.reaches(1), "the link that proves the old key ends")
                one.links.update(changed)
                await until(lambda: one.reaches(1) and two.reaches(0))
                two.links.send(1, [0], b"under the new key")
                await until(lambda: (0, 1, b"under the new key") in one.received)

    asyncio.run(scene())


def test_the_membership_of_a_member_that_lags_behind_changes_nothing() -> None:
    async def scene() -> None:
        one = Station([0])
        admitted = ROSTER.after(Join(STRANGER.public_key), 7)
        one.links.update(admitted)
        async with running(one), raw(one.address) as newcomer:
            await newcomer.shake([STRANGER], admitted)
            await until(lambda: one.reaches(4))
            one.links.update(ROSTER)
            await newcomer.socket.send_bytes(encode(Envelope(0, (0,), b"still a member")))
            await until(lambda: one.received == [(0, 4, b"still a member")])

    asyncio.run(scene())


def test_a_member_that_has_lost_its_seat_loses_its_link() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one), raw(one.address) as left:
            await left.shake([IDENTITIES[2]])
            await until(lambda: one.reaches(2))
            one.links.update(ROSTER.after(Leave(2, 0), 7))
            assert await left.why_closed() == Reason.UNKNOWN_MEMBER.value
            assert not one.reaches(2)

    asyncio.run(scene())


def test_a_node_that_missed_an_admission_is_still_told_of_it(carrier: Carrier) -> None:
    """Whoever has dialled, a member that it does not know is a guest."""

    async def scene() -> None:
        behind = Station([0], over=carrier)
        async with running(behind):
            admitted = Station([], [behind.address], identities=[STRANGER], over=carrier)
            roster = ROSTER.after(Join(STRANGER.public_key), 7)
            admitted.links.update(roster)
            async with running(admitted):
                await until(lambda: admitted.reaches(0) and behind.value("qorum_links") == 1)
                admitted.links.send(4, [0], b"the commit that admitted it")
                await until(lambda: behind.received)
                behind.links.update(roster)
                assert behind.reaches(4)

    asyncio.run(scene())


def test_one_that_is_dialled_by_a_node_that_missed_its_admission_tells_it() -> None:
    async def scene() -> None:
        admitted = Station([], identities=[STRANGER])
        roster = ROSTER.after(Join(STRANGER.public_key), 7)
        admitted.links.update(roster)
        async with running(admitted):
            behind = Station([0], [admitted.address])
            async with running(behind):
                await until(lambda: admitted.reaches(0))
                admitted.links.send(4, [0], b"the commit that admitted it")
                await until(lambda: behind.received)
                assert not behind.reaches(4)
                behind.links.update(roster)
                assert behind.reaches(4)
                assert behind.refused(Reason.UNKNOWN_MEMBER) == 0

    asyncio.run(scene())


def test_there_is_room_for_so_many_guests_whoever_dials() -> None:
    async def scene() -> None:
        guest = Station([], identities=[STRANGER])
        async with running(guest):
            one = Station([0], [guest.address], budgets=Budgets(guests=0))
            async with running(one):
                await until(lambda: one.refused(Reason.UNKNOWN_MEMBER))
                assert one.value("qorum_links") == 0

    asyncio.run(scene())


def test_one_that_came_as_a_guest_comes_again_and_claims_its_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qorum.node.links.MODEST_S", 0.3)

    async def scene() -> None:
        roster = ROSTER.after(Join(STRANGER.public_key), 7)
        behind = Station([0])
        async with running(behind):
            admitted = Station([], [behind.address], identities=[STRANGER])
            admitted.links.update(roster)
            async with running(admitted):
                await until(lambda: behind.value("qorum_links") == 1)
                assert not behind.reaches(4)
                behind.links.update(roster)
                modest = admitted.links._links[0]
                await until(lambda: admitted.links._links and admitted.links._links[0] is not modest)
                assert modest.modest
                assert not admitted.links._links[0].modest
                assert admitted.links._links[0].dialled

    asyncio.run(scene())


def test_one_broken_frame_that_all_members_here_blame_is_forgiven() -> None:
    async def scene() -> None:
        one = Station([0, 1, 2], budgets=Budgets(errors=1))
        async with running(one), raw(one.address) as clumsy:
            await clumsy.shake([IDENTITIES[3]])
            await until(lambda: one.reaches(3))
            for _ in range(3):
                one.links.blame(3, "broken frame")
            await clumsy.socket.send_bytes(encode(Envelope(0, (0,), b"still heard")))
            await until(lambda: one.received)
            one.links.blame(3, "another broken frame")
            assert await clumsy.why_closed() == Reason.ERRORS.value

    asyncio.run(scene())


def test_somebody_named_twice_gets_a_frame_once() -> None:
    async def scene() -> None:
        one = Station([0, 1])
        async with running(one):
            two = Station([2], [one.address])
            async with running(two):
                await until(lambda: one.reaches(2) and two.reaches(0))
                one.links.send(0, (2, 1, 2, 1), b"once")
                one.links.send(0, (2,), b"last")
                await until(lambda: len(two.received) == 2)
                assert two.received == [(2, 0, b"once"), (2, 0, b"last")]
                assert one.received == [(1, 0, b"once")]

    asyncio.run(scene())


def test_an_address_that_is_none_does_not_end_the_dialling() -> None:
    async def scene() -> None:
        one = Station([0])
        async with running(one):
            wrong = "x" * 70 + ":7400"
            two = Station([1], [wrong, one.address])
            async with running(two):
                await until(lambda: two.reaches(0))
                await until(lambda: two.value("qorum_dials_total", outcome="failed") >= 3)
                assert "no address" in next(link.state for link in two.links.status() if link.peer == wrong)

    asyncio.run(scene())


def test_its_own_address_among_its_peers_does_no_harm() -> None:
    async def scene() -> None:
        port = free_port()
        one = Station([0], [f"127.0.0.1:{port}"], port=port)
        async with running(one):
            two = Station([1], [one.address])
            async with running(two):
                await until(lambda: one.reaches(1) and two.reaches(0) and one.refused(Reason.REPLAYED))
                two.links.send(1, [0], b"hello")
                await until(lambda: one.received == [(0, 1, b"hello")])

    asyncio.run(scene())


def test_a_node_that_is_found_twice_is_dialled_once_and_until_it_is_gone() -> None:
    async def scene() -> None:
        async with running(one := Station([0]), two := Station([1])):
            one.links._seen(two.address, True)
            one.links._seen(two.address, True)
            await until(lambda: one.reaches(1))
            assert one.value("qorum_dials_total", outcome="connected") == 1
            one.links._seen(two.address, False)
            await until(lambda: not one.reaches(1))

    asyncio.run(scene())


def test_who_cannot_be_reached_is_counted_and_holds_nothing_up() -> None:
    async def scene() -> None:
        one = Station([0, 1], ["127.0.0.1:1"])
        async with running(one):
            one.links.send(0, (3, 1), b"frame")
            await until(lambda: one.received == [(1, 0, b"frame")])
            assert one.value("qorum_dropped_frames_total", why="unreachable") == 1
            await until(lambda: "not dialled" not in one.links.status()[0].state)

    asyncio.run(scene())


def test_a_foreign_sender_is_a_mistake_of_the_caller() -> None:
    async def scene() -> None:
        async with running(one := Station([0])):
            with pytest.raises(KeyError):
                one.links.send(3, [0], b"frame")

    asyncio.run(scene())


def test_a_fault_in_who_gets_the_frames_costs_a_link_and_not_the_node(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        one = Station([0])
        one.links._on_frame = lambda to, sender, frame: 1 // 0
        async with running(one), raw(one.address) as two:
            await two.shake([IDENTITIES[2]])
            await two.socket.send_bytes(encode(Envelope(0, (0,), b"frame")))
            assert await two.why_closed() == "a fault of this node"
            async with raw(one.address) as again:
                await again.shake([IDENTITIES[2]])
                await until(lambda: one.reaches(2))

    asyncio.run(scene())
    assert "ZeroDivisionError" in caplog.text
