"""The demonstration with web pages: it comes up, its nodes agree, seats are handed out, and it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession

from qorum.errors import ConfigError
from qorum.identity import Identity
from qorum.lab.browser.demo import Plan, demo, run
from qorum.node.genesis_file import read_genesis


def test_nodes_agree_without_any_page(tmp_path: Path) -> None:
    lines: list[str] = []
    figures = run(Plan(nodes=4, tabs=1), tmp_path / "fed", tmp_path, 4.0, lines.append)
    assert figures["members"] == 5
    assert figures["rounds_committed"] > 0
    assert figures["agreed_tables_identical"]
    assert (figures["tabs_joined"], figures["errors"]) == (0, [])
    assert lines[0].startswith("open http://127.0.0.1:")


def test_each_page_gets_a_seat_of_its_own_and_the_same_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with demo(Plan(nodes=2, tabs=2), tmp_path / "fed", tmp_path) as one, ClientSession() as session:

            async def ask(body: object) -> tuple[int, str]:
                url = one.address.replace("/browser/", "/demo/seat")
                async with session.post(url, data=json.dumps(body)) as answer:
                    return answer.status, await answer.text()

            seats = [json.loads((await ask({}))[1]) for _ in range(2)]
            assert [seat["member"] for seat in seats] == [2, 3]
            again = json.loads((await ask({"member": 3}))[1])
            assert again == seats[1]
            status, says = await ask({})
            assert status == 409
            assert "--tabs" in says
            assert (await ask({"member": "x"}))[0] == 400
            genesis = read_genesis(seats[0]["genesis"].encode(), "the answer")
            key = tmp_path / "key.pem"
            key.write_text(seats[0]["key"])
            key.chmod(0o600)
            assert Identity.load(key).public_key == genesis.public_keys[2]
            assert len(seats[0]["nodes"]) == 2

    asyncio.run(scene())


@pytest.mark.parametrize("plan", [Plan(nodes=0, tabs=5), Plan(nodes=2, tabs=1)])
def test_numbers_that_make_no_sense_are_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="4 members in all"):
        run(plan, tmp_path / "fed", tmp_path, 1.0, lambda line: None)
