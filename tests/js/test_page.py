"""The live page, in a real browser: two tabs and two nodes learn as one; a liar, a cut, a reload, a stranger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from qorum.lab.browser.assets import built
from qorum.lab.browser.consoles import Chromium, Tab
from qorum.lab.browser.demo import Demo, Plan, demo
from tests.js.engines import needs
from tests.node.fleet import fleet

UP_S = 90.0


class Scene:
    """A demonstration, and a browser."""

    def __init__(self, demo: Demo, browser: Chromium) -> None:
        self.demo, self.browser = demo, browser

    async def tabs(self, count: int) -> list[Tab]:
        """The page, so many times, with an agent that takes part."""
        found = [await self.browser.tab(self.demo.address) for _ in range(count)]
        for tab in found:
            await sees(tab, "state", "agreeing")
        return found

    async def until(self, holds: Callable[[], bool], why: str, within_s: float = UP_S) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"in vain, for {within_s} s: {why}; {self.demo.figures()}") from None


async def text(tab: Tab, id: str) -> str:
    return str(await tab.run(f"return document.getElementById({id!r}).textContent"))


async def sees(tab: Tab, id: str, expected: str) -> None:
    """Wait until an element says something."""
    for _ in range(int(UP_S / 0.2)):
        if expected in (found := await text(tab, id)):
            return
        await asyncio.sleep(0.2)
    trouble = await text(tab, "trouble")
    raise AssertionError(f"{id} says {found!r} and not {expected!r}; {trouble}; {tab.complaints}")


@asynccontextmanager
async def scene(plan: Plan, folder: Path) -> AsyncIterator[Scene]:
    async with demo(plan, folder, await asyncio.to_thread(built)) as one, Chromium() as browser:
        yield Scene(one, browser)


def run(play: Callable[[Scene], Awaitable[None]], plan: Plan, folder: Path) -> None:
    needs("npm", "chromium")

    async def bounded() -> None:
        async with asyncio.timeout(500), scene(plan, folder / "fed") as one:
            await play(one)

    asyncio.run(bounded())


def test_two_tabs_and_two_nodes_agree_and_nothing_leaves_this_machine(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        tabs = await on.tabs(2)
        rounds = on.demo.figures()["rounds_committed"]
        await on.until(lambda: on.demo.figures()["rounds_committed"] >= rounds + 5, "rounds with both")
        await sees(tabs[0], "who", "agent 2 of 4")
        await sees(tabs[1], "who", "agent 3 of 4")
        assert [tab.complaints for tab in tabs] == [[], []]
        figures = on.demo.figures()
        assert figures["agreed_tables_identical"]
        assert figures["errors"] == []
        await on.browser.end()
        asked = asked_by_pages(on.browser.log)
        assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}
        assert {urlsplit(url).scheme for url in asked} == {"http", "ws"}

    run(play, Plan(nodes=2, tabs=2), tmp_path)


@pytest.mark.long
def test_two_tabs_and_two_nodes_solve_the_lake_together(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        tabs = await on.tabs(2)
        await on.until(lambda: on.demo.figures()["agreed_value"] >= 0.95, "the agreed table solves it", 300)
        for tab in tabs:
            chances = "Array.from(document.querySelector('#curve .agreed').points, (point) => point.y)"
            assert await tab.run(f"return {chances}.at(-1)") < 60  # the upper half
        assert on.demo.figures()["excluded"] == []

    run(play, Plan(nodes=2, tabs=2), tmp_path)


@pytest.mark.long
def test_a_liar_is_found_and_one_that_is_cut_off_comes_back(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        liar, other = await on.tabs(2)
        await on.until(lambda: on.demo.figures()["agreed_value"] >= 0.5, "something is known", 200)
        await other.run("document.getElementById('cut').click()")
        await sees(other, "state", "gossip only")
        await liar.run("document.getElementById('lie').click()")
        await on.until(lambda: on.demo.figures()["excluded"] == [5], "the liar is found", 200)
        await sees(liar, "state", "distrusted by the swarm")
        await other.run("document.getElementById('cut').click()")
        await sees(other, "state", "agreeing")
        await sees(other, "tolerance", "Found lying: 5")

    run(play, Plan(nodes=5, tabs=2), tmp_path)


@pytest.mark.long
def test_a_reload_keeps_the_seat_and_a_third_tab_has_none(tmp_path: Path) -> None:
    async def play(on: Scene) -> None:
        tab = (await on.tabs(1))[0]
        await tab.open(on.demo.address)
        await sees(tab, "who", "agent 3 of 4")
        await sees(tab, "state", "agreeing")
        third = await on.browser.tab(on.demo.address)
        await sees(third, "trouble", "all 1 seats for pages are taken")

    run(play, Plan(nodes=3, tabs=1), tmp_path)


@pytest.mark.long
def test_at_a_plain_node_the_page_is_a_guest(tmp_path: Path) -> None:
    needs("npm", "chromium")
    built()

    async def play() -> None:
        async with asyncio.timeout(200), fleet(tmp_path) as one, Chromium() as browser:
            node = next(iter(one.nodes.values()))
            tab = await browser.tab(f"http://{node.listen}/browser/")
            await sees(tab, "doing", "qorum admit")
            await sees(tab, "state", "following")
            one.learn()
            await sees(tab, "facts", "round1")

    asyncio.run(play())


def asked_by_pages(log: Path) -> set[str]:
    """What pages and their workers asked the network for; the browser itself looks for updates and the like."""
    asked = [event.get("params", {}) for event in json.loads(log.read_text("utf-8"))["events"]]
    return {one["url"] for one in asked if "url" in one and str(one.get("initiator", "")).startswith("http")}
