"""`qorum init`, `node`, `up` and `status` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qorum.cli import app
from qorum.errors import ConfigError
from tests.node.processes import Daemon, until


def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qorum.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    done = call("init", "fed", "--members", "5", "--hosts", "2", "--set", "n_actions=6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "qorum node fed/host-b.toml" in done.stdout
    assert "127.0.0.1:7401" in done.stdout
    again = call("init", "fed", "--members", "5", cwd=tmp_path)
    assert again.returncode == 1
    assert "fed exists and was left as it is" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "n_actions"), "give FIELD=VALUE"),
        (("--set", "n_acts=1"), "unknown field n_acts"),
        (("--hosts", "2", "--address", "a:1", "--address", "b:1", "--address", "c:1"), "3 addresses for 2 nodes"),
    ],
)
def test_init_refuses_what_makes_no_sense(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path / "fed"), "--members", "4", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert not (tmp_path / "fed").exists()


@pytest.mark.parametrize("transport", ["websocket", "zenoh"])
def test_up_runs_a_federation_and_prints_its_figures(tmp_path: Path, transport: str) -> None:
    plan = ("--members", "4", "--processes", "2", "--seconds", "4", "--rate", "40", "--transport", transport)
    done = call("up", *plan, "--json", "--folder", "fed", "--set", "sync_interval_ms=500", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["members"], result["processes"], result["errors"]) == (4, 2, [])
    assert result["agreed_tables_identical"] is True
    assert result["rounds_committed"] >= 1
    assert 0 < result["sync_latency_s"]["p50"] <= result["sync_latency_s"]["max"]
    assert 0 < result["rss_mb"]["median"] <= result["rss_mb"]["max"]
    assert (tmp_path / "fed" / "host-b" / "data").is_dir()
    assert "4 members in 2 processes are up" in done.stderr


def test_status_asks_a_running_node(tmp_path: Path) -> None:
    assert call("init", "fed", "--members", "3", cwd=tmp_path).returncode == 0
    config = tmp_path / "fed" / "host-a.toml"
    port = str(_free_port())
    config.write_text(config.read_text().replace(":7400", f":{port}"))
    daemon = Daemon(config)
    try:
        until(lambda: daemon.status().state == "agreeing", "it is up")
        shown = call("status", str(config), cwd=tmp_path)
        assert shown.returncode == 0, shown.stderr
        assert "agent-2 (2)  round 0" in shown.stdout
        told = json.loads(call("status", str(config), "--json", cwd=tmp_path).stdout)
        assert [member["name"] for member in told["members"]] == ["agent-0", "agent-1", "agent-2"]
        daemon.end()
    finally:
        daemon.process.kill()
    gone = call("status", str(config), cwd=tmp_path)
    assert gone.returncode == 1
    assert "does not answer" in gone.stderr


def _free_port() -> int:
    from qorum.node.up import free_addresses

    return int(free_addresses(1)[0].rpartition(":")[2])
