"""`qorum doctor` and `qorum top`, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qorum.cli import app
from tests.node.processes import Daemon, federation, until

runner = CliRunner()


def test_doctor_prints_a_line_for_each_check_and_fails_with_one_that_does(tmp_path: Path) -> None:
    config, _ = federation(tmp_path / "f", 4, 2)
    done = runner.invoke(app, ["doctor", str(config)])
    assert done.exit_code == 1
    assert "ok    clock" in done.stdout
    assert "fail  peers" in done.stdout
    alone = federation(tmp_path / "g", 4, 1)[0]
    done = runner.invoke(app, ["doctor", str(alone), "--json"])
    assert done.exit_code == 0
    assert {finding["level"] for finding in json.loads(done.stdout)} == {"ok"}


def test_top_shows_every_node_and_says_which_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    up, down = federation(tmp_path / "f", 4, 2)
    daemon = Daemon(up)
    try:
        until(lambda: bool(daemon.status().members), "it is up")
        shown = runner.invoke(app, ["top", str(up), str(down), "--once"]).stdout
        assert "gossip only: 2 of 3 reachable" in shown
        assert "agent-0 (0)" in shown
        assert "host-b  does not answer" in shown
        assert max(map(len, shown.splitlines())) <= 80
        one, other = json.loads(runner.invoke(app, ["top", str(up), str(down), "--json"]).stdout)
        assert [member["index"] for member in one["status"]["members"]] == [0, 1]
        assert (other["status"], one["error"]) == (None, None)
        assert "does not answer" in other["error"]
        daemon.end()
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
