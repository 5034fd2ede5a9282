"""Changes of membership on real nodes: sockets, disks, key files, and operators who hand petitions on."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from qorum.core.table import NO_SEAT
from qorum.errors import ConfigError
from qorum.identity import Identity
from qorum.node.config import load_config
from qorum.node.host import Host
from qorum.node.operators import Operators
from qorum.node.records import RosterView
from qorum.node.succession import former_keys, next_path
from tests.node.builders import until
from tests.node.fleet import Fleet, fleet
from tests.node.processes import Daemon, federation
from tests.node.processes import until as wait_for

WAIT_S = 40.0
MARK = 77
"""A state that one agent only has been in."""


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 120))


def host_at(four: Fleet, config: Path) -> Host:
    return next(iter(four.nodes[config].hosts.values()))


async def contributes(four: Fleet, config: Path) -> None:
    """What this node's agent sees comes to be in everybody's table."""
    host_at(four, config).table.agent.learn_encoded(MARK, 1, 1.0, 2, False)
    host_at(four, config).lived()

    def everybody_knows() -> bool:
        four.learn(1)
        return all(
            host.member.state.table.get(MARK, 1) is not None
            for node in four.nodes.values()
            for host in node.hosts.values()
        )

    await until(everybody_knows, "what it saw is agreed on", 30)


async def readiness(four: Fleet, config: Path) -> str:
    url = f"http://{load_config(config).listen}/readyz"

    def ask() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode().strip())

    return await asyncio.to_thread(ask)


def test_a_newcomer_is_admitted_once_a_quorum_has_endorsed_it_and_then_contributes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as four:
            layout = four.newcomer()
            config, petition = Path(layout.nodes[0].config), Path(layout.petitions[0])
            await four.start(config)
            four.learn()
            await until(lambda: host_at(four, config).member.state.round >= 1, "it follows", 20)
            assert await readiness(four, config) == "ready"
            status = four.nodes[config].status()
            assert (status.members[0].index, status.state) == (NO_SEAT, "following: hosts nobody with a seat")
            assert "qorum admit" in status.members[0].doing

            begun = await four.ask(four.configs[:2], lambda two: two.admit(petition, WAIT_S))
            assert (begun.made, begun.endorsements, begun.quorum) == (False, 2, 3)
            assert f"qorum admit {petition} THEIR-CONFIG" in begun.todo
            by_itself = await four.ask([config], lambda it: it.admit(petition, WAIT_S))
            assert "holds a seat, so none endorses it" in by_itself.todo
            done = await four.ask([four.configs[3]], lambda one: one.admit(petition, WAIT_S))
            assert (done.made, done.member, done.endorsements, done.todo) == (True, 4, 3, "")
            again = await four.ask([config], lambda it: it.admit(petition, WAIT_S))
            assert (again.made, again.member) == (True, 4)

            await until(lambda: host_at(four, config).me == 4, "it takes its seat", 20)
            await contributes(four, config)
            await four.stop(config)
            await four.start(config)
            assert host_at(four, config).me == 4
            assert (await host_at(four, config).sync(20)).agreed
            await four.settle("all stand on the same table")

    run(scene)


def test_a_running_node_goes_over_to_a_new_key_and_loses_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as four:
            own = four.configs[1]
            host, path = host_at(four, own), load_config(own).members[0]
            old, agent = host.key, host.table.agent
            four.learn()
            assert (await host.sync(20)).agreed
            host.table.agent.learn_encoded(MARK, 1, 1.0, 2, False)
            seen = agent.interactions

            begun = await four.ask([own], lambda one: one.rekey("agent-1", WAIT_S))
            assert (begun.made, begun.endorsements) == (False, 1)
            assert host.key == old
            file = str(own.parent / "rekey-agent-1.petition")
            assert begun.petition == file
            done = await four.ask(four.configs[2:], lambda two: two.rekey(file, WAIT_S))
            assert (done.made, done.member, done.endorsements) == (True, 1, 3)
            await until(lambda: not next_path(path).exists(), "the node takes the key over", 20)

            assert host.me == 1
            assert host.key == Identity.load(path).public_key != old
            assert [key.public_key for key in former_keys(path)] == [old]
            assert host.table.agent is agent
            assert agent.interactions == seen
            await contributes(four, own)
            assert host.member.state.heads[1].incarnation == 1
            assert all(not node.chronicle.errors for node in four.nodes.values())
            seen = agent.interactions
            await four.stop(own)
            await four.start(own)
            assert host_at(four, own).me == 1
            assert host_at(four, own).table.agent.interactions == seen
            assert (await host_at(four, own).sync(20)).agreed

    run(scene)


def test_a_node_that_was_down_takes_its_new_key_over_when_it_starts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as four:
            own = four.configs[1]
            path = load_config(own).members[0]
            four.learn()
            assert (await host_at(four, own).sync(20)).agreed
            await four.stop(own)
            done = await four.ask([own, *four.configs[2:]], lambda three: three.rekey("agent-1", WAIT_S))
            assert done.made
            assert "takes the new key over when it starts" in done.todo
            assert next_path(path).exists()
            await four.start(own)
            await until(lambda: host_at(four, own).me == 1, "it has its seat", 20)
            await until(lambda: not next_path(path).exists(), "it has swapped the files", 20)
            assert host_at(four, own).table.agent.interactions == 12
            assert (await host_at(four, own).sync(20)).agreed

    run(scene)


def test_a_lost_store_comes_back_under_a_new_key(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as four:
            own = four.configs[1]
            with pytest.raises(ConfigError, match="is up: end it first"):
                await four.ask([own], lambda one: one.rekey("agent-1", WAIT_S, lost=True))
            four.learn()
            assert (await host_at(four, own).sync(20)).agreed
            await four.stop(own)
            (load_config(own).data / "qorum.sqlite").unlink()
            for rest in load_config(own).data.iterdir():
                rest.unlink()
            swapped = await four.ask([own], lambda one: one.rekey("agent-1", WAIT_S, lost=True))
            assert f"qorum node {own}" in swapped.todo
            await four.start(own)
            await until(lambda: host_at(four, own).member.state.round >= 1, "it follows under its new key", 20)
            assert host_at(four, own).me == NO_SEAT
            done = await four.ask([own, *four.configs[2:], four.configs[0]], lambda all: all.rekey("agent-1", WAIT_S))
            assert (done.made, done.member, done.endorsements) == (True, 1, 3)
            await until(lambda: host_at(four, own).me == 1, "it has its seat", 20)
            await contributes(four, own)

    run(scene)


def test_who_has_left_or_was_evicted_follows_on_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, 5) as five:
            five.learn()
            left = await five.ask([five.configs[4]], lambda one: one.leave("agent-4", WAIT_S))
            assert (left.made, left.member, left.quorum) == (True, 4, None)
            begun = await five.ask(five.configs[:1], lambda one: one.evict("3", WAIT_S))
            assert (begun.made, begun.endorsements, begun.quorum) == (False, 1, 3)
            assert begun.petition is not None
            with pytest.raises(ConfigError, match="asks to evict member 3: if you want that, qorum evict"):
                await five.ask(five.configs[1:2], lambda one: one.admit(Path(begun.petition or ""), WAIT_S))
            done = await five.ask(five.configs[1:3], lambda two: two.evict(begun.petition or "", WAIT_S))
            assert (done.made, done.member) == (True, 3)
            for config in five.configs[3:]:
                await until(lambda config=config: host_at(five, config).me == NO_SEAT, "it knows", 20)  # type: ignore[misc]
                status = five.nodes[config].status()
                assert status.state == "following: hosts nobody with a seat"
                assert "has left, or was evicted: a newcomer needs a new key" in status.members[0].doing
                assert await readiness(five, config) == "ready"
            assert (await host_at(five, five.configs[0]).sync(20)).agreed
            await five.settle("those who follow have the same table")
            with pytest.raises(ConfigError, match="3 members, and rounds need 3: admit somebody else first"):
                await five.ask([five.configs[0]], lambda one: one.leave("agent-0", WAIT_S))
            with pytest.raises(ConfigError, match="holds no seat that it could give up"):
                await five.ask([five.configs[4]], lambda one: one.leave("agent-4", WAIT_S))

    run(scene)


def test_what_no_round_makes_in_time_says_why_and_can_be_asked_for_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as four:
            petition = Path(four.newcomer().petitions[0])
            await four.stop(*four.configs[2:])
            in_vain = await four.ask(four.configs, lambda all: all.admit(petition, 0.5))
            assert (in_vain.made, in_vain.endorsements) == (False, 4)
            assert "the node is gossip only: 2 of 3 reachable" in in_vain.todo
            assert "run this again" in in_vain.todo
            await four.start(*four.configs[2:])
            done = await four.ask(four.configs[:1], lambda one: one.admit(petition, WAIT_S))
            assert (done.made, done.member) == (True, 4)

    run(scene)


@pytest.mark.long
def test_a_node_killed_at_any_moment_of_a_change_of_its_key_goes_on_under_the_new_one(tmp_path: Path) -> None:
    random = Random(1)
    configs = federation(tmp_path / "fed", members=4, hosts=4)
    path = load_config(configs[1]).members[0]
    with ExitStack() as cleanup:

        def start(number: int) -> Daemon:
            daemon = Daemon(configs[number], "--task", "grid", "--rate", "30", "--seed", str(number))
            cleanup.callback(daemon.process.kill)
            return daemon

        four = [start(number) for number in range(4)]
        wait_for(lambda: min(node.status().members[0].round for node in four) >= 1, "all agree")
        for _ in range(4):
            key, seen = four[1].status().members[0].key, four[1].status().members[0].interactions
            with ThreadPoolExecutor() as operators:
                asked = operators.submit(Operators(configs).rekey, "agent-1", 60.0)
                wait_for(lambda: next_path(path).exists() or asked.done(), "the next key is there")  # noqa: B023
                wait_for(lambda: has_room(four[0]) or asked.done(), "a round may change it")  # noqa: B023
                time.sleep(random.random())
                four[1].kill()
                four[1] = start(1)
                assert asked.result(90).made
            wait_for(lambda: not next_path(path).exists() and four[1].status().members[0].index == 1, "it takes over")
            now = four[1].status().members[0]
            assert now.key != key
            assert now.interactions >= seen - 60, "what was in a contribution is kept"
            wait_for(lambda: four[1].status().members[0].round >= now.round + 2, "it goes on")  # noqa: B023
        accounts = [node.end()[0] for node in four]
    assert [account["errors"] for account in accounts] == [[]] * 4
    agreed: dict[str, set[str]] = {}
    for account in accounts:
        for rounds in account["members"].values():
            for round, state in rounds.items():
                agreed.setdefault(round, set()).add(state)
    assert all(len(states) == 1 for states in agreed.values()), "no round has two outcomes"


def has_room(node: Daemon) -> bool:
    roster = node.line.ask("roster", RosterView)
    return roster.round >= roster.room_from - 1
