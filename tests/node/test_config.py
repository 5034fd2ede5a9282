"""The configuration of a node: what it holds, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from qorum.errors import ConfigError
from qorum.node.budget import Budgets
from qorum.node.config import NodeConfig, Tls, Zenoh, load_config

WHOLE = """
genesis = "genesis.json"
data = "/var/lib/qorum"
listen = "[::1]:7400"
members = ["keys/a.pem", "keys/b.pem"]
peers = ["10.0.0.2:7400", "node-c.example:7401"]
token = "token"
insecure = true
log = "text"

[tls]
certificate = "certificate.pem"
key = "key.pem"
ca = "ca.pem"

[budgets]
bytes_per_second = 1_000
guests = 0
"""
OVER_ZENOH = """
[zenoh]
mode = "client"
connect = ["tls/router.example:7447", "tcp/[::1]:7447"]
prefix = "fleet/qorum"

[zenoh.tls]
certificate = "certificate.pem"
key = "/etc/key.pem"
ca = "ca.pem"
"""
SMALLEST = 'genesis = "g"\ndata = "d"\nlisten = "127.0.0.1:0"\nmembers = ["a.pem"]\n'


def load(folder: Path, text: str) -> NodeConfig:
    path = folder / "node.toml"
    path.write_text(text)
    return load_config(path)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, WHOLE) == NodeConfig(
        genesis=tmp_path / "genesis.json",
        data=Path("/var/lib/qorum"),
        listen="[::1]:7400",
        members=(tmp_path / "keys/a.pem", tmp_path / "keys/b.pem"),
        peers=("10.0.0.2:7400", "node-c.example:7401"),
        token=tmp_path / "token",
        insecure=True,
        log="text",
        tls=Tls(certificate=tmp_path / "certificate.pem", key=tmp_path / "key.pem", ca=tmp_path / "ca.pem"),
        budgets=Budgets(bytes_per_second=1_000, guests=0),
    )


def test_links_may_go_over_zenoh(tmp_path: Path) -> None:
    assert load(tmp_path, SMALLEST + OVER_ZENOH).zenoh == Zenoh(
        mode="client",
        connect=("tls/router.example:7447", "tcp/[::1]:7447"),
        prefix="fleet/qorum",
        tls=Tls(certificate=tmp_path / "certificate.pem", key=Path("/etc/key.pem"), ca=tmp_path / "ca.pem"),
    )


def test_little_has_to_be_said(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST)
    assert (config.peers, config.tls, config.token, config.insecure, config.log) == ((), None, None, False, "json")
    assert (config.budgets, config.zenoh) == (Budgets(), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listens = 1\n" + SMALLEST, "unknown field listens; the fields are: genesis, data, listen"),
        (SMALLEST + "[budgets]\nbyte = 1", "unknown field byte in [budgets]; the fields are: bytes_per_second"),
        (SMALLEST + "[tls]\ncert = 'c'", "unknown field cert in [tls]; the fields are: certificate, key, ca"),
        (SMALLEST + "[tls]\ncertificate = 'c'", "`key`"),
        (SMALLEST + "[budgets]\nguests = -1", "guests"),
        (SMALLEST + "peers = ['nowhere']", "peers"),
        (SMALLEST + "peers = 'a:1'", "peers"),
        (SMALLEST + "insecure = 'yes'", "insecure"),
        (SMALLEST + "log = 'xml'", "log"),
        (SMALLEST + "[zenoh]\nconnects = []", "unknown field connects in [zenoh]; the fields are: mode, connect"),
        (SMALLEST + "[zenoh.tls]\ncert = 'c'", "unknown field cert in [zenoh.tls]; the fields are: certificate"),
        (SMALLEST + "[zenoh]\nconnect = ['10.0.0.2:7447']", "connect"),
        (SMALLEST + "[zenoh]\nconnect = ['tls/a.example:1#enable_mtls=false']", "connect"),
        (SMALLEST + "[zenoh]\nconnect = ['udp/a.example:1']", "connect"),
        (SMALLEST + "[zenoh]\nmode = 'router'", "mode"),
        (SMALLEST + "[zenoh]\nprefix = 'a/**'", "prefix"),
        (SMALLEST + "peers = ['10.0.0.2:7400']\n[zenoh]\n", "leave `peers` out"),
        (SMALLEST + "zenoh = 1", "zenoh"),
        (SMALLEST + "tls = 1", "tls"),
        (SMALLEST.replace('"g"', "7"), "genesis"),
        (SMALLEST.replace('["a.pem"]', "[]"), "members"),
        (SMALLEST.replace('["a.pem"]', "[7]"), "members"),
        ('listen = "127.0.0.1:0"', "genesis"),
        ("= nonsense", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
    assert "node.toml" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml")


def test_bytes_that_are_no_text_are_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(tmp_path / "node.toml")
