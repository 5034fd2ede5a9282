"""`qorum doctor` and `qorum top`, as an operator types them."""

from __future__ import annotations

import json
import os
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from qorum.cli import app
from qorum.node.status import LinkStatus, MemberStatus, NodeStatus, Seconds
from qorum.node.watch import Sight
from qorum.operating_cli import _frame
from tests.node.processes import Daemon, federation, until

DOCS = Path(__file__).parents[1] / "docs"
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
        assert "─ host-b ─" in shown
        assert "does not answer" in shown
        assert max(map(len, shown.splitlines())) <= 80
        one, other = json.loads(runner.invoke(app, ["top", str(up), str(down), "--json"]).stdout)
        assert [member["index"] for member in one["status"]["members"]] == [0, 1]
        assert (other["status"], one["error"]) == (None, None)
        assert "does not answer" in other["error"]
        daemon.end()
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def test_what_top_shows_looks_as_in_the_picture(tmp_path: Path) -> None:
    """docs/top.svg, made by `QORUM_PICTURES=docs`: the words in it are those of now."""
    members = tuple(
        MemberStatus(
            index=me, name=f"agent-{me}", key="", role="leader" if me == 2 else "follower", round=812, state="", term=0,
            doing="round 813: 5 of 7 members heard from, 5 needed", backlog=0, interactions=9_000 + 37 * me, cells=252,
            up=True,
        )
        for me in range(4)
    )  # fmt: skip
    links = tuple(
        LinkStatus(peer="", members=(), state=state, sent_bytes=0, received_bytes=0, queued_bytes=0)
        for state in ("up", "closed")
    )
    status = NodeStatus(
        federation="", version="", uptime_s=8_130.0, listen="10.0.0.1:7400", data="", state="agreeing", tolerance="",
        founders=7, members=members, links=links, rounds_committed=812,
        sync_latency_s=Seconds(p50=0.043, p99=0.071, max=0.2), excluded=(3,), rss_mb=69.0,
    )  # fmt: skip
    sights = [
        Sight(config="host-a.toml", status=status, sent_bytes_s=7_300.0, received_bytes_s=9_100.0),
        Sight(config="host-b.toml", error="no node answers at 10.0.0.2:7400"),
    ]
    console = Console(record=True, width=100, file=StringIO(), color_system="truecolor", force_terminal=True)
    console.print(_frame(sights))
    picture = console.export_svg(title="qorum top host-a.toml host-b.toml", clear=False)
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # it would fetch fonts from elsewhere
    if folder := os.environ.get("QORUM_PICTURES"):
        (Path(folder) / "top.svg").write_text(picture, "utf-8")
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 100
    for words in ("host-a", "agreeing", "rounds 812, sync p50 0.043 s", "agent-2 (2)", "distrusted: 3"):
        assert words in text
    assert _words((DOCS / "top.svg").read_text("utf-8")) == _words(picture)


def _words(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</text>", svg)
