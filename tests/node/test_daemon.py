"""Nodes as a user runs them: processes on loopback with TLS, killed, restarted, told to end."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.node.processes import Daemon, federation, until


@pytest.mark.parametrize("over_zenoh", [False, True], ids=["websocket", "zenoh"])
def test_four_processes_agree_through_the_loss_of_one_which_comes_back_as_it_was(
    tmp_path: Path, over_zenoh: bool
) -> None:
    configs = federation(tmp_path / "fed", members=4, hosts=4, over_zenoh=over_zenoh)
    with ExitStack() as cleanup:

        def start(number: int) -> Daemon:
            daemon = Daemon(configs[number], "--task", "grid", "--rate", "50", "--seed", str(number))
            cleanup.callback(daemon.process.kill)
            return daemon

        four = [start(number) for number in range(4)]

        def rounds() -> list[int]:
            return [node.status().members[0].round for node in four]

        until(lambda: min(rounds()) >= 2, "all agree on a second round")
        assert {node.status().state for node in four} == {"agreeing"}
        four[3].kill()
        others = four[:3]
        at = max(node.status().members[0].round for node in others)
        until(lambda: min(node.status().members[0].round for node in others) >= at + 2, "three go on")
        four[3] = start(3)
        until(lambda: four[3].status().members[0].round >= at + 2, "the fourth catches up")
        assert four[3].status().members[0].interactions > 0
        ended = [node.end() for node in four]
    agreed: dict[str, set[str]] = {}
    for account, log in ended:
        assert account["errors"] == []
        assert [line["event"] for line in log if line["level"] != "info"] == []
        assert log[-1]["event"] == "ended"
        for rounds_of_one in account["members"].values():
            for round, state in rounds_of_one.items():
                agreed.setdefault(round, set()).add(state)
    assert len(agreed) >= 4
    assert all(len(states) == 1 for states in agreed.values()), "no round has two outcomes"


def node(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qorum.cli", "node", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_a_node_that_others_can_reach_wants_a_token(tmp_path: Path) -> None:
    config = federation(tmp_path / "fed", members=1, hosts=1)[0]
    text = config.read_text()
    port = text.split("127.0.0.1:")[1].split('"')[0]
    config.write_text(text.replace("127.0.0.1", "0.0.0.0"))
    done = node(config)
    assert done.returncode == 1
    assert f"listen is 0.0.0.0:{port}" in done.stderr
    assert "no token" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "genesis.json").unlink(), "genesis"),
        (lambda folder: next(folder.rglob("agent-*.pem")).unlink(), "no identity at"),
        (lambda folder: next(folder.rglob("agent-*.pem")).chmod(0o644), "chmod 600"),
    ],
)
def test_a_node_that_cannot_come_up_says_why(tmp_path: Path, spoil: object, says: str) -> None:
    config = federation(tmp_path / "fed", members=1, hosts=1)[0]
    assert callable(spoil)
    spoil(tmp_path / "fed")
    done = node(config)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
