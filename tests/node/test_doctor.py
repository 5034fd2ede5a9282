"""What is wrong with a node's set-up is found and named, before it starts and while it runs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qorum.node import doctor
from qorum.node.doctor import Finding, examine
from qorum.node.genesis_file import load_genesis
from qorum.store.store import Store
from tests.node.processes import Daemon, federation, until


def found(config: Path, check: str) -> list[Finding]:
    return [finding for finding in examine(config) if finding.check == check]


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def test_a_new_node_lacks_nothing_but_its_peers(tmp_path: Path) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    findings = list(examine(config))
    assert {finding.check for finding in findings if finding.level != "ok"} == {"peers"}
    assert {finding.check for finding in findings} >= {"clock", "keys", "certificate", "disk", "store", "port"}
    (peers,) = found(config, "peers")
    assert "refused" in peers.says or "failed" in peers.says


def test_of_running_nodes_everything_is_well(tmp_path: Path) -> None:
    configs = federation(tmp_path / "f", 4, 2)
    daemons = [Daemon(config) for config in configs]
    try:
        until(lambda: all(daemon.status().state == "agreeing" for daemon in daemons), "they meet")
        findings = list(examine(configs[0]))
        assert {finding.level for finding in findings} == {"ok"}
        (port,) = [finding for finding in findings if finding.check == "port"]
        (peers,) = [finding for finding in findings if finding.check == "peers"]
        assert "this node runs, agreeing" in port.says
        assert "hosts 2 members" in peers.says
        for daemon in daemons:
            assert daemon.end()[0]["errors"] == []
    finally:
        for daemon in daemons:
            if daemon.process.poll() is None:
                daemon.kill()


def expose_key(config: Path) -> None:
    (config.parent / "host-a/keys/agent-0.pem").chmod(0o644)


def lose_key(config: Path) -> None:
    (config.parent / "host-a/keys/agent-0.pem").unlink()


def expose_tls_key(config: Path) -> None:
    (config.parent / "host-a/key.pem").chmod(0o644)


def swap_certificates(config: Path) -> None:
    (config.parent / "host-b/certificate.pem").replace(config.parent / "host-a/certificate.pem")


def break_store(config: Path) -> None:
    data = config.parent / "host-a/data"
    data.mkdir()
    (data / "qorum.sqlite").write_bytes(b"no database " * 1_000)


def start_on_a_backup(config: Path) -> None:
    data, genesis = config.parent / "host-a/data", load_genesis(config.parent / "genesis.json")
    store = Store.open(data, genesis)
    store.backup(config.parent / "backup.sqlite")
    store.close()
    (config.parent / "backup.sqlite").replace(data / "qorum.sqlite")


def break_config(config: Path) -> None:
    config.write_text(config.read_text() + "\nmembres = 4\n")


@pytest.mark.parametrize(
    ("spoil", "check", "says"),
    [
        pytest.param(expose_key, "keys", "chmod", marks=pytest.mark.skipif(os.name != "posix", reason="no modes")),
        (lose_key, "keys", "agent-0.pem"),
        (expose_tls_key, "certificate", "chmod"),
        (swap_certificates, "certificate", "cannot set up TLS"),
        (break_store, "store", "qorum.sqlite"),
        (start_on_a_backup, "store", "is a backup"),
        (break_config, "configuration", "membres"),
    ],
)
def test_what_is_broken_fails_with_what_to_do(
    tmp_path: Path, spoil: Callable[[Path], None], check: str, says: str
) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    spoil(config)
    findings = found(config, check)
    assert levels(findings) == ["fail"]
    assert says in findings[0].says


def test_a_port_that_somebody_else_has_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.2)
    config, _ = federation(tmp_path / "f", 4, 2)
    port = int(config.read_text().partition('listen = "127.0.0.1:')[2].partition('"')[0])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        (finding,) = found(config, "port")
    assert finding.level == "fail"
    assert "not because the node runs" in finding.says


@pytest.mark.parametrize(("days", "level"), [(31, "ok"), (29, "warn"), (-1, "fail")])
def test_a_certificate_that_ends_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, level: str
) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    monkeypatch.setattr(doctor, "certificate_end", lambda path: time.time() + 86_400 * days)
    assert levels(found(config, "certificate")) == [level]


def test_a_node_of_another_federation_is_no_peer(tmp_path: Path) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    other = federation(tmp_path / "g", 4, 1)[0]
    address = other.read_text().partition('listen = "')[2].partition('"')[0]
    theirs = config.read_text().partition('peers = ["')[2].partition('"')[0]
    config.write_text(config.read_text().replace(theirs, address))
    daemon = Daemon(other)
    try:
        until(lambda: daemon.status().state == "agreeing", "it is up")
        (finding,) = found(config, "peers")
        assert finding.level == "fail"
        assert "wrong_federation" in finding.says
        daemon.end()
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def test_a_clock_that_is_wrong_and_a_full_disk_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    usage = type("Usage", (), {"free": 5e7})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    assert levels(found(config, "disk"))[0] == "fail"
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    assert levels(found(config, "clock")) == ["fail"]


def test_a_peer_that_never_answers_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    monkeypatch.setattr(doctor, "ANSWER_S", 0.2)
    theirs = config.read_text().partition('peers = ["')[2].partition('"')[0]

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", int(theirs.rpartition(":")[2])))
        silent.listen()
        (finding,) = found(config, "peers")
    assert finding.level == "fail"
    assert "no answer within" in finding.says
