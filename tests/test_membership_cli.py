"""`qorum init --join`, `admit`, `evict`, `rekey` and `leave` as a user types them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qorum.cli import app
from qorum.errors import ConfigError, QorumError
from qorum.node.config import load_config
from qorum.node.petition_file import load_petition
from tests.node.fleet import fleet
from tests.node.processes import federation


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


def says(done: Any, kind: type[QorumError] = ConfigError) -> str:
    """The error that a command ended with."""
    assert isinstance(done.exception, kind), done.output
    return str(done.exception)


def join(folder: Path, genesis: Path, *arguments: object) -> Any:
    return call("init", folder, "--join", genesis, "--peer", "10.0.0.1:7400", *arguments)


def test_init_join_writes_a_node_and_a_petition_for_each_member(tmp_path: Path) -> None:
    genesis = federation(tmp_path / "fed", members=4, hosts=1)[0].parent / "genesis.json"
    done = join(tmp_path / "new", genesis, "--peer", "10.0.0.2:7400", "--members", 2, "--address", "10.0.0.9:7400")
    assert done.exit_code == 0, done.output
    petitions = sorted((tmp_path / "new").glob("*.petition"))
    assert len(petitions) == 2
    assert all(f"qorum admit {petition} THEIR-CONFIG" in done.output for petition in petitions)
    assert f"qorum node {tmp_path / 'new' / 'node.toml'}" in done.output
    config = load_config(tmp_path / "new" / "node.toml")
    assert (config.listen, config.peers) == ("10.0.0.9:7400", ("10.0.0.1:7400", "10.0.0.2:7400"))
    assert {path.stem for path in config.members} == {petition.stem for petition in petitions}
    assert config.token is not None
    assert config.tls is not None
    assert {load_petition(petition).ask for petition in petitions} == {"join"}
    assert config.genesis.read_bytes() == genesis.read_bytes()


def test_init_refuses_what_does_not_go_together(tmp_path: Path) -> None:
    genesis = federation(tmp_path / "fed", members=1, hosts=1)[0].parent / "genesis.json"
    assert "give --members to found" in says(call("init", tmp_path / "new"))
    assert "name the address of a node" in says(call("init", tmp_path / "new", "--join", genesis))
    assert "leave --hosts and --set out" in says(join(tmp_path / "new", genesis, "--hosts", 2))
    assert "10.0.0.1 is not" in says(join(tmp_path / "new", genesis, "--peer", "10.0.0.1")).replace("'", "")
    assert "cannot read the genesis" in says(join(tmp_path / "new", tmp_path / "none.json"))
    assert not (tmp_path / "new").exists()


def test_operators_endorse_without_any_node_and_hand_the_file_on(tmp_path: Path) -> None:
    configs = federation(tmp_path / "fed", members=4, hosts=4)
    assert join(tmp_path / "new", configs[0].parent / "genesis.json").exit_code == 0
    petition = next((tmp_path / "new").glob("*.petition"))
    for count, config in enumerate(configs, 1):
        done = call("admit", petition, config, "--json")
        assert done.exit_code == 1
        outcome = json.loads(done.stdout)
        assert (outcome["made"], outcome["endorsements"], outcome["quorum"]) == (False, count, None)
        assert "no node could be asked" in outcome["todo"]
        assert f"qorum admit {petition} THEIR-CONFIG" in outcome["todo"]
    assert len(load_petition(petition).endorsements) == 4


def test_without_a_node_nobody_knows_who_could_be_evicted_re_keyed_or_leave(tmp_path: Path) -> None:
    config = federation(tmp_path / "fed", members=4, hosts=1)[0]
    for command in (("evict", "2"), ("rekey", "agent-0"), ("leave", "agent-0")):
        assert "does not answer" in says(call(*command, config), QorumError)
    assert sorted(path.suffix for path in config.parent.iterdir()) == ["", ".json", ".toml"]


def test_wrong_usage_is_code_2() -> None:
    assert call("admit", "a.petition").exit_code == 2
    assert call("leave", "agent-0").exit_code == 2
    assert call("rekey", "agent-0", "host-a.toml", "--seat", "-1").exit_code == 2


def test_codes_and_answers_of_a_change_that_is_not_made_yet_and_of_one_that_is(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as four:
            begun = await asyncio.to_thread(call, "evict", "agent-3", four.configs[3])
            assert begun.exit_code == 1
            assert "evict member 3: 1 of 3 endorsements; hand" in begun.output
            four.learn()
            done = await asyncio.to_thread(call, "leave", "agent-3", four.configs[3], "--json")
            assert done.exit_code == 0, done.output
            outcome = json.loads(done.stdout)
            assert (outcome["made"], outcome["member"], outcome["todo"]) == (True, 3, "")
            status = await asyncio.to_thread(call, "status", four.configs[3])
            assert "agent-3 (no seat)" in status.output
            unknown = await asyncio.to_thread(call, "leave", "agent-9", four.configs[3])
            assert "no member 'agent-9'" in says(unknown)

    asyncio.run(asyncio.wait_for(scene(), 60))


@pytest.mark.parametrize("command", ["admit", "evict", "rekey", "leave"])
def test_help_fits_a_screen(command: str) -> None:
    done = call(command, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) < 40
