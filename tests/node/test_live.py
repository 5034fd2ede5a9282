"""The live view of a node over real sockets: moments, cells, and who may see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from qorum.node import live
from tests.node.builders import until
from tests.node.fleet import Fleet, fleet


async def moments(session: ClientSession, one: Fleet) -> AsyncIterator[Any]:
    url = f"http://{next(iter(one.nodes.values())).listen}/api/v1/live"
    async with session.get(url) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def test_rounds_are_seen_as_they_happen(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as one, ClientSession() as session:
            first = next(iter(one.nodes.values()))
            await until(lambda: len(first._links.reachable) == 4, "links")
            seen, stream = [], moments(session, one)
            one.learn()
            async for moment in stream:
                seen.append(moment)
                if moment["scene"]["agreed"] >= 1 and moment["courses"][0]["took_s"] is not None:
                    break
            await stream.aclose()
            last = seen[-1]
            assert last["scene"]["federation"] == one.genesis.federation.hex()
            assert last["scene"]["here"] == [last["scene"]["observer"]]
            assert last["scene"]["reachable"] == [0, 1, 2, 3]
            assert last["courses"][0]["round"] == 1
            assert 0 < last["courses"][0]["took_s"] < 10
            assert len(last["links"]) == 3
            assert last["received_bytes"] > 0
            assert last["alerts"] == []

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_cells_are_listed_and_explained(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as one, ClientSession() as session:
            node = next(iter(one.nodes.values()))
            one.learn()
            await until(lambda: node.observer.state.round >= 1, "a round")

            async def ask(path: str) -> tuple[int, str]:
                async with session.get(f"http://{node.listen}/api/v1/cells{path}") as answer:
                    return answer.status, await answer.text()

            rows = json.loads((await ask(""))[1])
            story = json.loads((await ask(f"/{rows[0]['state']}/{rows[0]['action']}"))[1])
            assert story["cell"]["state"] == rows[0]["state"]
            assert story["claims"]
            for wrong in ("?order=beauty", "?first=-1", "/x/0", f"/{2**64}/0", "/1/300"):
                status, says = await ask(wrong)
                assert (status, bool(says)) == (400, True)

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_only_so_many_may_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "VIEWERS", 1)

    async def scene() -> None:
        async with fleet(tmp_path) as one, ClientSession() as session:
            stream = moments(session, one)
            assert await anext(stream)
            url = f"http://{next(iter(one.nodes.values())).listen}/api/v1/live"
            async with session.get(url) as answer:
                assert (answer.status, "close one" in await answer.text()) == (503, True)
            await stream.aclose()

    asyncio.run(asyncio.wait_for(scene(), 60))
