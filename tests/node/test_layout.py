"""The files of a new federation."""

from __future__ import annotations

from pathlib import Path

import pytest

from qorum.config import FederationConfig
from qorum.errors import ConfigError
from qorum.identity import Identity
from qorum.node.config import load_config
from qorum.node.genesis_file import load_genesis
from qorum.node.layout import lay_out

CONFIG = FederationConfig(n_actions=3)
ADDRESSES = ["127.0.0.1:7400", "10.0.0.2:7400", "[::1]:7400"]


def test_each_node_gets_its_own_keys_and_the_addresses_of_the_others(tmp_path: Path) -> None:
    layout = lay_out(tmp_path / "fed", CONFIG, 7, ADDRESSES, tls=True)
    genesis = load_genesis(layout.genesis)
    assert layout.federation == genesis.federation.hex()
    assert genesis.config == CONFIG
    configs = [load_config(node.config) for node in layout.nodes]
    assert [config.listen for config in configs] == ADDRESSES
    assert configs[1].peers == ("127.0.0.1:7400", "[::1]:7400")
    keys = [Identity.load(path).public_key for config in configs for path in config.members]
    assert tuple(keys) == genesis.public_keys
    assert [len(config.members) for config in configs] == [2, 2, 3]
    assert [node.members[0] for node in layout.nodes] == ["agent-0", "agent-2", "agent-4"]
    tls = [config.tls for config in configs]
    assert all(one is not None and one.certificate.exists() and one.key.exists() for one in tls)


def test_only_a_node_that_others_can_reach_gets_a_token(tmp_path: Path) -> None:
    layout = lay_out(tmp_path, CONFIG, 3, ADDRESSES, tls=False)
    tokens = [load_config(node.config).token for node in layout.nodes]
    assert (tokens[0], tokens[2]) == (None, None)
    assert tokens[1] is not None
    assert tokens[1].stat().st_mode & 0o777 == 0o600
    assert len(tokens[1].read_text().strip()) >= 32
    assert load_config(layout.nodes[0].config).tls is None


def test_over_zenoh_the_later_of_two_nodes_connects(tmp_path: Path) -> None:
    endpoints = [f"tcp/127.0.0.1:{port}" for port in (7501, 7502, 7503)]
    layout = lay_out(tmp_path, CONFIG, 3, ADDRESSES, tls=True, endpoints=endpoints)
    configs = [load_config(node.config) for node in layout.nodes]
    assert [config.peers for config in configs] == [(), (), ()]
    tables = [config.zenoh for config in configs if config.zenoh is not None]
    assert [table.listen for table in tables] == [(endpoint,) for endpoint in endpoints]
    assert [table.connect for table in tables] == [(), (endpoints[0],), (endpoints[0], endpoints[1])]


@pytest.mark.parametrize(
    ("members", "addresses", "says"),
    [
        (1, ADDRESSES, "3 nodes for 1 members"),
        (3, [], "0 nodes"),
        (3, ["a:1", "a:1"], "two nodes with the address a:1"),
        (3, ["nowhere"], "'nowhere' is not host:port"),
        (3, ["a:99999"], "is not host:port"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_written(
    tmp_path: Path, members: int, addresses: list[str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        lay_out(tmp_path / "fed", CONFIG, members, addresses, tls=False)
    assert not (tmp_path / "fed").exists()


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ConfigError, match="was left as it is"):
        lay_out(tmp_path, CONFIG, 1, ADDRESSES[:1], tls=False)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_many_nodes_have_numbers(tmp_path: Path) -> None:
    layout = lay_out(tmp_path, CONFIG, 27, [f"127.0.0.1:{7400 + node}" for node in range(27)], tls=False)
    assert [Path(node.config).name for node in (layout.nodes[0], layout.nodes[26])] == ["host-01.toml", "host-27.toml"]
