"""A host from a real store: first start, restart, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

from qorum.core.genesis import Genesis
from qorum.core.sharing import shared_engine
from qorum.core.table import NO_SEAT
from qorum.identity import Identity, verify
from qorum.node.birth import host_of
from qorum.qtable import QTable
from qorum.store import Store
from tests.node.builders import QUICK, Notes, until

IDENTITIES = [Identity.from_seed(bytes([me]) * 32) for me in range(4)]
GENESIS = Genesis(tuple(identity.public_key for identity in IDENTITIES), QUICK)


class Four:
    """Four members of one node: one store, one loop."""

    def __init__(self, path: Path) -> None:
        self.store, self.notes = Store.open(path, GENESIS), Notes()
        engine = shared_engine(GENESIS, verify)
        self.hosts = [host_of(one, self.store, engine, self.route, self.notes) for one in IDENTITIES]
        for host in self.hosts:
            host.start()

    def route(self, key: bytes, to: tuple[int, ...], frame: bytes) -> None:
        sender = GENESIS.public_keys.index(key)
        for member in to:
            asyncio.get_running_loop().call_soon(self.hosts[member].receive, sender, frame)

    def hashes(self) -> set[tuple[int, bytes]]:
        return {(host.member.state.round, host.member.state.hash) for host in self.hosts}


def test_members_agree_through_a_store_and_go_on_from_it(tmp_path: Path) -> None:
    async def scene() -> None:
        four = Four(tmp_path)
        for host in four.hosts:
            for step in range(12):
                host.table.agent.learn(step % 5, host.me, 0.5, (step + 1) % 5, False)
            host.lived()
        await until(lambda: four.notes.rounds != [] and len(four.hashes()) == 1, "a round")
        await asyncio.gather(*(host.stop() for host in four.hosts))
        before, table = four.hashes(), four.hosts[2].table.agent.table
        four.store.close()

        again = Four(tmp_path)
        assert again.hashes() == before
        assert again.hosts[2].table.agent.table == table
        assert [host.table.agent.interactions for host in again.hosts] == [12] * 4
        again.hosts[1].table.agent.learn(9, 1, 1.0, 2, False)
        assert (await again.hosts[1].sync(10)).agreed
        await asyncio.gather(*(host.stop() for host in again.hosts))
        again.store.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_agents_begin_with_an_imported_table_that_is_nobodys_evidence(tmp_path: Path) -> None:
    with Store.open(tmp_path, GENESIS) as store:
        store.start_from(QTable.from_columns([7], [2], [0.5], [3])).result(10)
        host = host_of(IDENTITIES[0], store, shared_engine(GENESIS, verify), lambda *_: None, Notes())
        assert host.table.agent.table.get(7, 2) == (0.5, 0)
        assert host.table.pending_updates == []


def test_a_key_without_a_seat_follows_and_signs_nothing(tmp_path: Path) -> None:
    stranger, sent = Identity.from_seed(b"s" * 32), list[bytes]()

    async def scene() -> None:
        with Store.open(tmp_path, GENESIS) as store:
            host = host_of(
                stranger, store, shared_engine(GENESIS, verify), lambda *route: sent.append(route[2]), Notes()
            )
            assert host.me == NO_SEAT
            host.start()
            host.table.agent.learn(1, 1, 1.0, 2, False)
            assert not (await host.sync(0.3)).agreed
            assert "observer in round 1" in host.status()
            await host.stop()
            kept = store.load(stranger.public_key)
            assert kept is None or kept.record is None, "nothing was signed"
            assert store.load_experience(stranger.public_key) == host.table.agent.dump()

    asyncio.run(asyncio.wait_for(scene(), 30))
