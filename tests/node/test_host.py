"""A host: effects in order, durable before what follows from them; rounds; restarts; a disk that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from qorum.config import FederationConfig
from qorum.core.membership import consent_bytes, endorsement_bytes
from qorum.core.messages import Change, Join, Petition, Rekey
from qorum.core.table import NO_SEAT
from qorum.encoding import hash_observation
from qorum.errors import StoreError
from qorum.identity import Identity
from qorum.node.birth import heir_of, host_of
from qorum.store import Store
from tests.node.builders import GUEST, QUICK, Neighbours, until


@asynccontextmanager
async def neighbours(members: int = 4, config: FederationConfig = QUICK) -> AsyncIterator[Neighbours]:
    four = Neighbours(members, config)
    try:
        yield four
    finally:
        four.end()


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scene()

    asyncio.run(bounded())


def test_four_hosts_agree_on_rounds_of_their_own_accord() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            for me in four.hosts:
                four.live(me)
            await until(lambda: len(four.notes.rounds) >= 4, "a first round")
            four.live(0)
            await until(lambda: {round for _, round, _ in four.notes.rounds} >= {1, 2}, "a second round")
            await until(lambda: len(four.hashes()) == 1, "the same state")
            assert four.notes.blames == []
            assert all(0 < latency < 10 for latency in four.notes.latencies)
            assert len(four.hosts[3].table.agreed_table) == len(four.hosts[0].table.agent.table) == 20

    run(scene)


class SlowKey:
    """A key that others keep: it answers at a later turn of the loop, or not."""

    def __init__(self, identity: Identity) -> None:
        self.public_key, self._sign = identity.public_key, identity.sign
        self.lost = False

    async def sign(self, message: bytes) -> bytes:
        await asyncio.sleep(0.001)
        if self.lost:
            raise OSError("no such key")
        return self._sign(message)


def test_keys_that_take_a_wait_sign_in_order() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            for me in range(4):
                four.crash(me)
            four.identities = [SlowKey(identity) for identity in four.identities]  # type: ignore[misc]
            for me in range(4):
                four.boot(me)
            for number in range(1, 4):
                for me in four.hosts:
                    four.live(me)
                await until(lambda number=number: len(four.notes.rounds) >= 4 * number, "a round")
            await until(lambda: len(four.hashes()) == 1, "the same state")
            assert four.notes.blames == []
            await four.hosts[0].stop()

    run(scene)


def test_a_key_that_is_lost_ends_its_host_and_no_other() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            four.crash(0)
            key = SlowKey(four.identities[0])
            four.identities[0] = key  # type: ignore[call-overload]
            four.boot(0)
            key.lost = True
            for me in four.hosts:
                four.live(me)
            await until(lambda: len(four.notes.rounds) >= 3, "a round of the others")
            assert four.notes.failures == ["key failed: no such key"]
            assert not four.hosts[0].is_up

    run(scene)


def test_sync_waits_for_a_round_and_reports_it() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            four.hosts[2].table.agent.learn(1, 1, 1.0, 2, False)
            result = await four.hosts[2].sync(10)
            assert result.agreed
            assert result.round == four.hosts[2].member.state.round >= 1
            assert result.updates_sent >= 1
            for me in four.hosts:
                four.live(me, 3)
            results = await asyncio.gather(*(host.sync(10) for host in four.hosts.values()))
            assert all(result.round >= 1 for result in results)

    run(scene)


def test_sync_ends_at_its_deadline_without_a_quorum() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            for me in (1, 2):
                four.crash(me)
            four.live(0)
            result = await four.hosts[0].sync(0.3)
            assert not result.agreed
            assert "2 of 4 members heard from, 3 needed" in four.hosts[0].status()

    run(scene)


@pytest.mark.parametrize("knows_before", [True, False])
def test_a_leader_that_no_link_leads_to_is_not_waited_for(knows_before: bool) -> None:
    """It has joined the round, and its proposals do not arrive; by the timer alone others would wait for 15 s."""

    async def scene() -> None:
        async with neighbours(config=msgspec.structs.replace(QUICK, propose_timeout_ms=15_000)) as four:
            for me in four.hosts:
                four.live(me)
            await until(lambda: len(four.notes.rounds) >= 4, "a first round")
            leader = four.hosts[0].member.consensus.leader(0)
            others = [host for me, host in four.hosts.items() if me != leader]
            four.stop_proposals_of(leader)
            if knows_before:
                four.notes.unreachable.add(leader)
            for me in four.hosts:
                four.live(me)
            await until(lambda: all(host.member.consensus.window_closed for host in others), "the round has begun")
            if not knows_before:
                for host in others:
                    host.lost({leader})
            await until(lambda: all(host.member.state.round >= 2 for host in others), "a round without it")

    run(scene)


def test_nothing_leaves_before_the_disk_has_what_it_implies() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            disk = four.disks[0]
            await asyncio.sleep(0.05)
            disk.held = []
            four.live(0)
            await until(lambda: bool(disk.held), "a write")
            await asyncio.sleep(0.1)
            assert four.hosts[1].member.streams.tips[0].seq == 0, "the contribution waits for the disk"
            disk.release()
            await until(lambda: len(four.notes.rounds) >= 4, "a round once the disk is back")

    run(scene)


def test_a_crashed_member_goes_on_where_it_was() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            for me in four.hosts:
                four.live(me)
            await until(lambda: len(four.notes.rounds) >= 4 and len(four.hashes()) == 1, "a round")
            before = four.hosts[1].member.state
            four.crash(1)
            host = four.boot(1)
            assert host.member.state.hash == before.hash
            assert host.table.agent.interactions == 12
            assert host.table.agent.table == four.hosts[1].table.agent.table
            four.live(1)
            four.live(2)
            await until(lambda: min(h.member.state.round for h in four.hosts.values()) > before.round, "a later round")
            await until(lambda: len(four.hashes()) == 1, "the same state")

    run(scene)


def test_the_others_go_on_without_a_crashed_member_which_then_catches_up() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            four.crash(3)
            for me in four.hosts:
                four.live(me)
            await until(lambda: min(host.member.state.round for host in four.hosts.values()) >= 1, "a round of three")
            four.boot(3)
            await until(lambda: len(four.hashes()) == 1, "the fourth catches up")

    run(scene)


def test_a_host_whose_disk_fails_signs_nothing_more_and_says_why() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            four.live(0)
            await until(lambda: len(four.notes.rounds) >= 4, "a round")
            four.disks[0].failed = "the disk is full"
            waiting = asyncio.ensure_future(four.hosts[0].sync(10))
            await until(lambda: four.notes.failures == ["store failed: the disk is full"], "the failure is noticed")
            with pytest.raises(StoreError, match="the disk is full"):
                await waiting
            assert "store failed: the disk is full" in four.hosts[0].status()
            sent = len([frame for sender, frame in four.sent if sender == 0])
            for me in (1, 2, 3):
                four.live(me)
            await until(lambda: four.hosts[1].member.state.round >= 2, "three go on")
            assert len([frame for sender, frame in four.sent if sender == 0]) == sent
            assert four.hosts[0].member.state.round == 1
            with pytest.raises(StoreError):
                four.hosts[0].meet(lambda member: [])

    run(scene)


def test_stopping_waits_for_the_disk_and_keeps_what_the_agent_saw() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            host = four.hosts[0]
            host.table.agent.learn(7, 1, 1.0, 2, False)
            await host.stop()
            assert not host.is_up
            assert four.disks[0].experiences[host.key] == host.table.agent.dump()
            host.receive(1, b"late")  # is not looked at
            assert await asyncio.wait_for(host.stop(), 1) is None

    run(scene)


def test_a_stopped_disk_does_not_hold_up_stopping() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            four.disks[0].held = []
            four.live(0)
            await until(lambda: bool(four.disks[0].held), "a write")
            await four.hosts[0].stop(timeout_s=0.1)
            assert not four.hosts[0].is_up

    run(scene)


def test_an_error_inside_ends_the_host_and_not_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with neighbours() as four:
            broken = four.hosts[0]
            broken.table.on_committed = lambda committed: 1 / 0  # type: ignore[method-assign, assignment]
            for me in four.hosts:
                four.live(me)
            await until(lambda: four.notes.failures != [], "the error is noticed")
            assert "error inside: ZeroDivisionError" in broken.status()
            assert "ZeroDivisionError" in caplog.text
            with pytest.raises(StoreError, match="takes no part any more: error inside"):
                await broken.sync()
            for me in (1, 2, 3):
                four.live(me)
            await until(lambda: min(four.hosts[me].member.state.round for me in (1, 2, 3)) >= 2, "three go on")

    run(scene)


def ask(four: Neighbours, change: Change, consents: Identity) -> None:
    """Put a change before the federation that three of the four endorse."""
    data = endorsement_bytes(four.genesis.federation, change)
    signatures = b"".join(identity.sign(data) for identity in four.identities[:3])
    consent = consents.sign(consent_bytes(four.genesis.federation, change))
    petition = Petition(change, consent, endorsers=b"\x07", signatures=signatures)
    four.hosts[1].meet(lambda member: member.petition(petition))


def test_a_newcomer_follows_until_it_is_admitted_and_then_takes_part(tmp_path: Path) -> None:
    async def scene() -> None:
        async with neighbours() as four:
            stranger = Identity.from_seed(b"s" * 32)
            with Store.open(tmp_path, four.genesis) as store:
                newcomer = host_of(stranger, store, four.engine, four.route, four.notes)
                four.hosts[GUEST] = newcomer
                newcomer.start()
                assert newcomer.me == NO_SEAT
                four.live(0)
                await until(lambda: newcomer.member.state.round >= 1, "it follows")
                newcomer.table.agent.learn(77, 1, 1.0, 2, False)
                ask(four, Join(stranger.public_key), stranger)
                await until(lambda: newcomer.me == 4, "it is admitted")
                assert (await newcomer.sync(10)).agreed
                cell = hash_observation(77), 1
                await until(lambda: cell in four.hosts[0].table.agreed_table, "what it saw is agreed on")
                assert len(newcomer.table.peers) == 4
                await newcomer.stop()
                assert store.load(stranger.public_key) is not None
                again = host_of(stranger, store, four.engine, four.route, four.notes)
                assert again.me == 4, "and stays a member"

    run(scene)


def test_a_new_key_says_again_what_no_round_took_and_writes_down_what_was_in_line() -> None:
    async def scene() -> None:
        async with neighbours() as four:
            host, disk, old = four.hosts[3], four.disks[3], four.identities[3]
            new, agent, id_of = Identity.from_seed(b"n" * 32), host.table.agent, four.id_of
            four.id_of = lambda key: 3 if key == old.public_key else id_of(key)  # type: ignore[method-assign]
            disk.held = []
            agent.learn(77, 1, 1.0, 2, False)
            waits = asyncio.ensure_future(host.sync(20))
            await until(lambda: disk.held != [], "the disk is busy with what the old key says")
            ask(four, Rekey(3, 1, new.public_key), new)
            await until(lambda: host.member.roster.key(3) == new.public_key, "a round of the others changes the key")

            four.identities[3] = new
            host.go_on_as(new, heir_of(host.member, new.public_key, four.engine))
            disk.release()
            assert (await waits).agreed, "who waited for a round still does"
            assert (host.me, host.key, host.table.agent) == (3, new.public_key, agent)
            await until(lambda: new.public_key in disk.kept, "what was agreed on is written down for the new key")
            cell = hash_observation(77), 1
            four.live(0)
            assert (await host.sync(10)).agreed
            await until(lambda: cell in four.hosts[0].table.agreed_table, "what the agent saw is agreed on")
            assert host.member.state.heads[3].incarnation == 1
            assert disk.records[old.public_key] != disk.records[new.public_key]
            assert four.notes.failures == []

    run(scene)
