"""The genesis as a file: the same federation comes back, or an error says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qorum.errors import ConfigError
from qorum.node.genesis_file import load_genesis, save_genesis
from tests.node.network import genesis_of

GENESIS = genesis_of(gamma=0.9, r_min=-1.5)


def saved(folder: Path) -> Path:
    save_genesis(GENESIS, folder / "genesis.json")
    return folder / "genesis.json"


def test_the_same_federation_comes_back(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert load_genesis(path) == GENESIS
    assert load_genesis(path).federation == GENESIS.federation
    assert json.loads(path.read_text())["federation"] == GENESIS.federation.hex()


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists and was left as it is"):
        save_genesis(genesis_of(), path)
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write the genesis to .*nowhere"):
        save_genesis(GENESIS, tmp_path / "nowhere" / "genesis.json")


def test_a_change_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_text(path.read_text().replace('"gamma": 0.9', '"gamma": 0.8'))
    with pytest.raises(ConfigError, match="was changed"):
        load_genesis(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"config"', '"configuration"'), ('"gamma": 0.9', '"gamma": 9'), (GENESIS.public_keys[0].hex(), "xy"), ("{", "[")],
)
def test_what_is_no_genesis_is_refused(old: str, new: str, tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=r"genesis\.json holds no genesis"):
        load_genesis(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the genesis at"):
        load_genesis(tmp_path / "genesis.json")
