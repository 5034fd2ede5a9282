"""The package in node and in a real browser, against real nodes: an agent joins, contributes, is told, reloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qorum.encoding import hash_observation
from qorum.identity import Identity
from qorum.lab.browser.assets import built
from qorum.lab.browser.consoles import LOAD, Chromium, Console, NodeConsole, Tab, Thrown, console, served
from qorum.node.config import load_config
from tests.js.engines import ENGINES, needs
from tests.node.builders import until
from tests.node.fleet import Fleet

LIVE = """
for (let step = 0; step < 12; step++) {
  const action = await agent.act(step % 7);
  await agent.learn(step % 7, action, 1, (step + 1) % 7, false);
}
"""


class Federation:
    """Three nodes that run, and the key of the fourth member, which has none."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self.fleet = Fleet(folder, 4, tls=tls)
        *self.others, last = self.fleet.configs
        self.key = load_config(last).members[0].read_text("utf-8")
        self.public_key = Identity.load(load_config(last).members[0]).public_key
        self.member = self.fleet.genesis.public_keys.index(self.public_key)
        self.genesis = Path(load_config(last).genesis).read_text("utf-8")
        scheme = "https" if tls else "http"
        self.urls = [f"{scheme}://{load_config(config).listen}" for config in self.others]

    async def join(self, at: Console, **config: object) -> None:
        """Make `agent` a member."""
        given = {"n_actions": 4, "seed": 1, "genesis": self.genesis, "key": self.key, "member": self.member, **config}
        await at.run(f"globalThis.agent = qorum.createFederatedQTable({json.dumps(given)}); await agent.ready;")
        await at.run(f"await agent.connect(...{json.dumps(self.urls)});")

    async def round(self, at: Console) -> Any:
        """Let everybody learn until another round is agreed, which `agent` knows of; its status."""
        before = (await at.run("return agent.status()")).get("round", 0)
        while True:
            self.fleet.learn()
            await at.run(LIVE)
            status = await at.run("await agent.sync(5); return agent.status()")
            if status["round"] > before:
                return status

    async def hash_of(self, round: int) -> str:
        """Of the state that all nodes have agreed on."""
        chronicles = [node.chronicle for node in self.fleet.nodes.values()]
        await until(lambda: all(round in rounds for one in chronicles for rounds in one.rounds.values()), "all agree")
        (hash,) = {rounds[round] for one in chronicles for rounds in one.rounds.values()}
        return hash


@asynccontextmanager
async def federation(folder: Path) -> AsyncIterator[Federation]:
    one = Federation(folder)
    try:
        await one.fleet.start(*one.others)
        yield one
    finally:
        await one.fleet.stop()


def run(play: Callable[[Federation, Console], Awaitable[None]], engine: str, folder: Path) -> None:
    needs("npm", engine)

    async def bounded() -> None:
        async with asyncio.timeout(300), federation(folder) as one, console(engine, folder) as at:
            await play(one, at)

    asyncio.run(bounded())


@ENGINES
def test_an_agent_joins_contributes_and_holds_the_same_bits(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        await on.join(at)
        for _ in range(3):
            status = await on.round(at)
        assert status["state"] == await on.hash_of(status["round"])
        assert (status["member"], status["revivals"], status["standing"]) == (on.member, 0, "agreeing")
        host = next(iter(on.fleet.nodes.values())).host()
        assert host.member.state.origins[on.member]
        agreed = await at.run("return Array.from(await agent.agreed([0, 1, 2, 3, 4, 5, 6]))")
        table = host.table.agreed_table
        if host.member.state.round == status["round"]:
            for place, value in enumerate(agreed):
                cell = table.get(hash_observation(place // 4), place % 4)
                assert value == pytest.approx(0.0 if cell is None else cell[0], abs=1e-6)
        assert all(node.chronicle.blames == 0 for node in on.fleet.nodes.values())
        await at.run("await agent.close()")

    run(play, engine, tmp_path)


@pytest.mark.long
def test_over_tls_it_joins_without_seeing_the_certificate(tmp_path: Path) -> None:
    """Whose the certificate is, is up to what checks it: here a file that this process of node was told to trust."""
    needs("npm", "node")

    async def play() -> None:
        on = Federation(tmp_path, tls=True)
        certificates = [load_config(config).tls for config in on.others]
        bundle = tmp_path / "trusted.pem"
        bundle.write_text("".join(one.certificate.read_text() for one in certificates if one is not None))
        try:
            await on.fleet.start(*on.others)
            async with asyncio.timeout(200), NodeConsole(tmp_path, bundle) as at:
                await on.join(at, genesis=None)
                status = await on.round(at)
                assert all(link["peer"].startswith("wss://") for link in status["links"])
            async with asyncio.timeout(100), NodeConsole(tmp_path / "fed") as at:
                with pytest.raises(Thrown) as thrown:
                    await on.join(at)
                assert thrown.value.code == "unreachable"
        finally:
            await on.fleet.stop()

    asyncio.run(play())


@pytest.mark.long
def test_a_page_that_is_not_secure_is_told_so() -> None:
    needs("npm", "chromium")

    async def play() -> None:
        async with served(await asyncio.to_thread(built)) as address, Chromium() as browser:
            tab = await browser.tab(address.replace("127.0.0.1", "plain.test"))
            await tab.run(LOAD)
            with pytest.raises(Thrown, match="https") as thrown:
                await tab.run("await qorum.createFederatedQTable().ready")
            assert thrown.value.code == "insecure_context"

    asyncio.run(play())


@pytest.mark.long
@ENGINES
def test_after_a_reload_it_has_its_key_experience_and_table(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        await on.join(at)
        status = await on.round(at)
        if isinstance(at, Tab):
            await at.command("Page.reload")
            await at.open(await at.run("return location.href"))
            await at.run(LOAD)
        else:
            await at.run("await agent.close()")
        await on.join(at)
        again = await at.run("return agent.status()")
        assert again["round"] >= status["round"]
        assert again["interactions"] == status["interactions"]
        await on.round(at)
        assert all(node.chronicle.blames == 0 for node in on.fleet.nodes.values())

    run(play, engine, tmp_path)


@pytest.mark.long
@ENGINES
def test_a_wrong_key_is_refused_and_one_of_its_own_is_kept(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        with pytest.raises(Thrown, match="has another key") as thrown:
            await on.join(at, member=0)
        assert thrown.value.code == "key"
        await at.run("await agent.close()")
        for node in on.fleet.nodes.values():
            node._links._budgets = type(node._links._budgets)(guests=0)
        with pytest.raises(Thrown) as thrown:
            await on.join(at, key=None, member=None, name="stranger")
        assert (thrown.value.code, thrown.value.reason) == ("refused", "unknown_member")
        key = (await at.run("return agent.status()"))["key"]
        await at.run("await agent.close()")
        await at.run("globalThis.agent = qorum.createFederatedQTable({ name: 'stranger' })")
        assert (await at.run("return agent.status()"))["key"] == key

    run(play, engine, tmp_path)


@pytest.mark.long
@ENGINES
def test_without_its_nodes_it_learns_on_and_joins_again(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        await on.join(at)
        await on.round(at)
        await at.run("globalThis.lost = 0; agent.on('lost', () => lost++)")
        await on.fleet.stop()
        await at.run("while (!lost) await new Promise((next) => setTimeout(next, 20))")
        await at.run(LIVE)
        assert "gossip only" in (await at.run("return agent.status()"))["standing"]
        await on.fleet.start(*on.others)
        await on.round(at)

    run(play, engine, tmp_path)


@pytest.mark.long
@ENGINES
def test_one_agent_lives_in_one_place_at_a_time(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        await on.join(at)
        with pytest.raises(Thrown, match="one place at a time") as thrown:
            await on.join(at)
        assert thrown.value.code == "storage"

    run(play, engine, tmp_path)


@pytest.mark.long
@ENGINES
def test_what_cannot_work_is_said(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        async def code(script: str) -> str:
            with pytest.raises(Thrown) as thrown:
                await at.run(script)
            return str(thrown.value.code)

        make = "const one = qorum.createFederatedQTable"
        assert await code(f"{make}({{ speed: 3 }}); await one.ready") == "config"
        assert await code(f"{make}({{ key: 'no pem' , name: 'b' }}); await one.ready") == "key"
        assert await code(f"{make}({{ assets: '/nowhere/', name: 'c' }}); await one.ready") == "assets"
        assert await code(f"{make}({{ name: 'd' }}); await one.act(0.5)") == "input"
        assert await code(f"{make}({{ name: 'e' }}); await one.connect('http://127.0.0.1:1')") == "unreachable"
        assert await code(f"{make}({{ name: 'f' }}); await one.close(); await one.act(1)") == "closed"
        hide = "const whole = WebAssembly; delete globalThis.WebAssembly;"
        back = "globalThis.WebAssembly = whole;"
        worker = "worker: false, name: 'g'"
        assert await code(f"{hide} try {{ {make}({{ {worker} }}); await one.ready }} finally {{ {back} }}") == (
            "no_webassembly"
        )

    run(play, engine, tmp_path)


@pytest.mark.long
@ENGINES
def test_what_was_saved_is_loaded_and_numbers_are_not_copied(engine: str, tmp_path: Path) -> None:
    async def play(on: Federation, at: Console) -> None:
        make = "globalThis.agent = qorum.createFederatedQTable({ nActions: 4, seed: 1, name: 'saved' });"
        await at.run(f"{make} {LIVE} await agent.save()")
        before = await at.run("return Array.from(await agent.qvalues([0, 1, 2]))")
        await at.run("await agent.close()")
        assert any(before)
        assert await at.run(f"{make} return agent.load()")
        assert await at.run("return Array.from(await agent.qvalues([0, 1, 2]))") == before
        size = await at.run("return (await agent.qvalues([0, 1, 2])).buffer.byteLength")
        assert size == (3 * 4 * 4 if engine == "chromium" else await at.run("return agent.memory()"))

    run(play, engine, tmp_path)
