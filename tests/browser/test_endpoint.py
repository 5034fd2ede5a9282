"""An endpoint on real nodes: joins, contributes, goes on after a reload, is refused, is cut off, lies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from qorum.browser.endpoint import Endpoint
from qorum.core.member import Member
from qorum.core.questions import Question, questions
from qorum.errors import ConfigError, IdentityError, StoreError
from qorum.identity import Identity
from qorum.node.config import load_config
from qorum.node.refused import Reason, Refused
from qorum.node.transport import Closed
from tests.browser.platforms import Bench
from tests.node.builders import QUICK, until
from tests.node.fleet import Fleet

TASK = json.dumps({"n_actions": 4, "seed": 1})


class Scene:
    """Three nodes that run, and the key of the fourth member, which has none."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet(folder, 4)
        *self.others, last = self.fleet.configs
        config = load_config(last)
        self.identity = Identity.load(config.members[0])
        self.member = self.fleet.genesis.public_keys.index(self.identity.public_key)
        self.genesis = Path(load_config(last).genesis).read_text("utf-8")
        self.nodes = [f"ws://{load_config(config).listen}/peer" for config in self.others]
        self.endpoints: list[Endpoint] = []

    async def endpoint(self, platform: Bench, task: str = TASK, member: int | None = None) -> Endpoint:
        one = Endpoint(platform, task)
        self.endpoints.append(one)
        await one.connect(self.genesis, self.nodes, member)
        return one

    async def rounds(self, one: Endpoint, count: int = 1) -> None:
        """Let everybody learn until so many more rounds are agreed, which the endpoint knows of."""
        for _ in range(count):
            target = status(one)["member"]["round"] + 1
            self.fleet.learn()
            live(one)
            await until(lambda target=target: status(one)["member"]["round"] >= target, "a round")


def live(one: Endpoint, steps: int = 12) -> None:
    for step in range(steps):
        one.learn(step % 7, one.act(step % 7), 1.0, (step + 1) % 7, False)


def status(one: Endpoint) -> Any:
    return json.loads(one.status())


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    one = Scene(folder)
    try:
        await one.fleet.start(*one.others)
        yield one
    finally:
        for endpoint in one.endpoints:
            await endpoint.close()
        await one.fleet.stop()


def run(play: Callable[[Scene], Awaitable[None]], folder: Path) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60), scene(folder) as one:
            await play(one)

    asyncio.run(bounded())


def test_it_joins_contributes_and_agrees(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        platform = Bench(on.identity)
        one = await on.endpoint(platform, member=on.member)
        await on.rounds(one, 3)
        result = json.loads(await one.sync(10))
        assert result["agreed"]
        assert result["updates_sent"] > 0
        assert result["updates_received"] > 0
        state = one._tab.host.member.state  # type: ignore[union-attr]
        assert state.origins[on.member]
        await until(lambda: (state.round, state.hash) in on.fleet.hashes() or status(one)["member"]["state"], "same")
        assert platform.events("round")
        assert status(one)["revivals"] == 0
        assert status(one)["standing"] == "agreeing"
        assert platform.looked_at > 0

    run(play, tmp_path)


def test_what_it_shows_is_what_it_believes_and_what_all_agreed_on(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        one = await on.endpoint(Bench(on.identity))
        await on.rounds(one, 2)
        agent, table = one._agent, one._tab.host.table.agreed_table  # type: ignore[union-attr]
        shown = one.values(list(range(8))).reshape(8, 4)
        assert np.array_equal(shown, agent.values(range(8)).astype(np.float32))
        agreed = one.agreed(list(range(8)))
        assert agreed.dtype == np.float32
        assert {float(np.float32(value)) for value in table.value} <= {*map(float, agreed), 0.0}
        assert not one.agreed(["nobody was here"]).any()

    run(play, tmp_path)


def test_after_a_reload_it_goes_on_with_its_key_experience_and_table(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        kept: dict[str, bytes] = {}
        first = await on.endpoint(Bench(on.identity, kept))
        await on.rounds(first, 2)
        await first.close()
        seen = first._agent.interactions
        second = await on.endpoint(Bench(on.identity, dict(kept)))
        assert status(second)["member"]["round"] >= 2
        assert status(second)["member"]["interactions"] == seen
        await on.rounds(second, 2)
        blamed = [blame for node in on.fleet.nodes.values() for blame in node.chronicle.errors]
        assert blamed == []

    run(play, tmp_path)


def test_a_crash_in_the_middle_loses_nothing_that_was_signed(tmp_path: Path) -> None:
    """As when a page is closed: what is kept is what was durable, and no node ever sees two words for one slot."""

    async def play(on: Scene) -> None:
        platform = Bench(on.identity)
        one = await on.endpoint(platform)
        for _ in range(3):
            await on.rounds(one)
            live(one)
            kept = dict(platform.kept)
            one._tab.host.abandon()  # type: ignore[union-attr]
            await one.close()
            platform = Bench(on.identity, kept)
            one = await on.endpoint(platform)
        await on.rounds(one)
        for node in on.fleet.nodes.values():
            assert node.chronicle.blames == 0

    run(play, tmp_path)


def test_a_signature_that_nobody_foresaw_costs_a_start_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(on: Scene) -> None:
        one = await on.endpoint(Bench(on.identity))
        await on.rounds(one)

        def blind(member: Member, frame: bytes) -> list[Question]:
            return [] if status(one)["revivals"] == 0 else questions(member, frame)

        monkeypatch.setattr("qorum.browser.tab.questions", blind)
        await on.rounds(one, 3)
        assert status(one)["revivals"] > 0
        assert all(node.chronicle.blames == 0 for node in on.fleet.nodes.values())

    run(play, tmp_path)


def test_another_key_is_refused(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        with pytest.raises(IdentityError, match="has another key"):
            await on.endpoint(Bench(Identity.generate()), member=on.member)

    run(play, tmp_path)


def test_without_a_seat_it_follows(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        member = await on.endpoint(Bench(on.identity))
        guest = await on.endpoint(Bench(Identity.generate()))
        await on.rounds(member, 2)
        await until(lambda: status(guest)["member"]["round"] >= 2, "the guest is told")
        assert status(guest)["member"]["index"] == -1
        assert "qorum admit" in status(guest)["member"]["doing"]

    run(play, tmp_path)


def test_a_node_that_takes_no_guests_says_so(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        for node in on.fleet.nodes.values():
            node._links._budgets = msgspec.structs.replace(node._links._budgets, guests=0)
        with pytest.raises(Refused) as refused:
            await on.endpoint(Bench(Identity.generate()))
        assert refused.value.reason is Reason.UNKNOWN_MEMBER

    run(play, tmp_path)


def test_where_nobody_listens_it_says_so_and_learns_on(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        on.nodes = ["ws://127.0.0.1:1/peer"]
        one = Endpoint(Bench(on.identity), TASK)
        with pytest.raises(Closed, match=r"127\.0\.0\.1:1"):
            await one.connect(on.genesis, on.nodes, None)
        live(one)
        assert status(one) == {"standing": "alone", "interactions": 12}

    run(play, tmp_path)


def test_cut_off_it_learns_on_and_comes_back(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        platform = Bench(on.identity)
        one = await on.endpoint(platform)
        await on.rounds(one)
        await one.cut(True)
        live(one)
        assert status(one)["reachable"] == []
        assert "gossip only" in status(one)["standing"]
        assert platform.events("lost")
        await one.cut(False)
        await on.rounds(one, 2)

    run(play, tmp_path)


def test_when_its_nodes_go_away_it_waits_for_them(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        platform = Bench(on.identity)
        one = await on.endpoint(platform)
        await on.rounds(one)
        await on.fleet.stop()
        await until(lambda: platform.events("lost"), "it notices")
        live(one)
        await on.fleet.start(*on.others)
        await on.rounds(one, 2)

    run(play, tmp_path)


def test_a_liar_says_the_opposite_and_accuses_nobody(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        one = await on.endpoint(Bench(on.identity))
        one.learn(1, 0, 1.0, 2, True)
        one.learn(1, 1, -1.0, 2, True)
        table = one._tab.host.table  # type: ignore[union-attr]
        honest = table._stated(table._evidence()).value
        one.lie(True)
        assert status(one)["lies"]
        assert np.array_equal(table._stated(table._evidence()).value, -honest)
        one.lie(False)
        assert np.array_equal(table._stated(table._evidence()).value, honest)

    run(play, tmp_path)


def test_storage_that_is_full_ends_the_member_and_says_so(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        platform = Bench(on.identity)
        one = await on.endpoint(platform)
        platform.full = True
        live(one)
        on.fleet.learn()
        await until(lambda: platform.events("failed"), "it says so")
        assert "quota exceeded" in platform.events("failed")[0]["reason"]
        with pytest.raises(StoreError, match="quota exceeded"):
            await one.sync(1)

    run(play, tmp_path)


def test_another_task_is_refused_and_an_unnamed_one_taken_over(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        with pytest.raises(ConfigError, match=r"n_actions 3, the federation 4"):
            await on.endpoint(Bench(on.identity), json.dumps({"n_actions": 3}))
        one = await on.endpoint(Bench(on.identity), "{}")
        assert one._agent.n_actions == QUICK.n_actions

    run(play, tmp_path)


def test_alone_it_syncs_in_a_federation_of_its_own() -> None:
    one = Endpoint(Bench(Identity.generate()), json.dumps({"n_actions": 2, "sync_interval_ms": 100}))
    live_two = lambda: [one.learn(step % 3, step % 2, 1.0, (step + 1) % 3, False) for step in range(20)]  # noqa: E731
    live_two()
    result = json.loads(asyncio.run(one.sync(10)))
    assert result["agreed"]
    assert result["round"] == 1
    assert result["updates_sent"] == 6
    assert one.agreed([0, 1, 2]).any()


def test_what_was_saved_is_there_again() -> None:
    async def play() -> None:
        platform = Bench(Identity.generate())
        one, other = Endpoint(platform, TASK), Endpoint(platform, TASK)
        assert not await other.load()
        live(one)
        await one.save()
        assert await other.load()
        assert np.array_equal(one.values(list(range(7))), other.values(list(range(7))))
        platform.kept["experience"] = platform.kept["experience"][:-1] + b"?"
        with pytest.raises(StoreError, match="damaged"):
            await Endpoint(platform, TASK).load()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("config", "wrong"), [('{"n_actions": 0}', "n_actions"), ('{"speed": 3}', "speed"), ('{"epsilon": 2}', "epsilon")]
)
def test_a_wrong_configuration_is_named(config: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        Endpoint(Bench(Identity.generate()), config)
