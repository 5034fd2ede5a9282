"""What Zenoh is set up with, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qorum.errors import ConfigError
from qorum.node.config import Tls, Zenoh
from qorum.node.zenoh_settings import settings_of
from tests.node.authority import Authority

LOOPBACK = "tcp/127.0.0.1:7447"
ELSEWHERE = "tcp/10.0.0.1:7447"
SECURE = "tls/router.example:7447"


def value(config: Zenoh, name: str, *, insecure: bool = False) -> object:
    return json.loads(settings_of(config, 1 << 20, insecure=insecure).get_json(name))


def test_what_was_not_asked_for_is_off() -> None:
    config = Zenoh(connect=(LOOPBACK,))
    assert value(config, "transport/shared_memory/enabled") is False
    assert value(config, "scouting/multicast/enabled") is False
    assert value(config, "scouting/gossip/enabled") is False
    assert value(config, "timestamping/enabled") is False
    assert value(config, "adminspace/enabled") is False
    assert value(config, "listen/endpoints") == []
    assert value(config, "transport/link/protocols") == ["tcp"]
    assert value(config, "transport/link/rx/max_message_size") == 1 << 20
    assert value(Zenoh(listen=(LOOPBACK,), scout=True), "scouting/multicast/enabled", insecure=True) is True


def test_tls_is_mutual_and_checks_names(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("node")
    config = Zenoh(connect=(SECURE,), listen=("tls/0.0.0.0:7447",), tls=tls)
    assert value(config, "transport/link/tls/enable_mtls") is True
    assert value(config, "transport/link/tls/verify_name_on_connect") is True
    assert value(config, "transport/link/tls/root_ca_certificate") == str(tls.ca)
    for role in ("listen", "connect"):
        assert value(config, f"transport/link/tls/{role}_certificate") == str(tls.certificate)
        assert value(config, f"transport/link/tls/{role}_private_key") == str(tls.key)
    assert value(config, "transport/link/protocols") == ["tls"], "nobody talks it into plain text"


@pytest.mark.parametrize("endpoint", ["tcp/[::1]:1", "tcp/localhost:1", LOOPBACK])
def test_plain_text_stays_on_this_machine(endpoint: str) -> None:
    settings_of(Zenoh(connect=(endpoint,)), 1, insecure=False)


@pytest.mark.parametrize("endpoint", [ELSEWHERE, "tcp/0.0.0.0:7447", "tcp/[::]:1", "tcp/router.example:1"])
def test_plain_text_elsewhere_has_to_be_asked_for(endpoint: str) -> None:
    for config in (Zenoh(connect=(endpoint,)), Zenoh(listen=(LOOPBACK, endpoint))):
        with pytest.raises(ConfigError, match="insecure = true"):
            settings_of(config, 1, insecure=False)
        settings_of(config, 1, insecure=True)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Zenoh(), "names no endpoint"),
        (Zenoh(mode="client", listen=(LOOPBACK,)), "needs `connect`"),
        (Zenoh(mode="client", connect=(LOOPBACK,), listen=(LOOPBACK,)), "no `listen`"),
        (Zenoh(connect=(SECURE,)), r"\[zenoh.tls\]"),
        (Zenoh(connect=(SECURE,), tls=Tls(certificate=Path("c"), key=Path("k"))), "`ca`"),
        (Zenoh(listen=(LOOPBACK,), scout=True), "`scout`"),
    ],
)
def test_what_cannot_work_is_refused(config: Zenoh, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings_of(config, 1, insecure=False)


def test_files_of_tls_are_looked_at_before_zenoh_does(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("node")
    tls.key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        settings_of(Zenoh(connect=(SECURE,), tls=tls), 1, insecure=False)
