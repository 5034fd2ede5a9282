"""Seven real nodes under load, killed again and again: nothing acknowledged is lost, and nobody signs twice."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from qorum.core.table import SyncResult
from qorum.errors import QorumError
from qorum.node.attach import line_to
from qorum.node.config import load_config
from qorum.node.records import Wait
from tests.node.processes import Daemon, federation, until

NODES, AWAY = 7, 2
"""Of seven, two may be away."""
FAULTS = ("equivocated", "blamed", "stopped", "error inside", "link failed")
"""Events in a log that nothing but a fault explains."""


class Campaign:
    """The nodes, and all that was ever seen of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._configs = federation(folder, NODES, NODES)
        self._random = Random(seed)
        self._up = {number: self._born(number) for number in range(NODES)}
        self._back: dict[int, float] = {}
        """Node that is down -> when it comes back."""
        self._states: dict[int, str] = {}
        """Round -> hash of the state that it led to: one, whoever is asked and whenever."""
        self._knew: dict[int, int] = {}
        """Node -> newest round that it has acknowledged."""

    def _born(self, number: int) -> Daemon:
        return Daemon(self._configs[number], "--task", "grid", "--rate", "20", "--seed", str(number))

    def run(self, kills: int) -> None:
        """Kill so many times, at most `AWAY` at once, whatever they are doing: also while they start."""
        until(lambda: all(d.status().members[0].round >= 1 for d in self._up.values()), "a first round", every_s=0.2)
        done = 0
        while done < kills or self._back:
            self._bring_back()
            if done < kills and len(self._back) < AWAY:
                self._kill(self._random.choice(sorted(self._up)))
                done += 1
            time.sleep(self._random.uniform(0, 0.6))

    def _bring_back(self) -> None:
        for number in [number for number, due in self._back.items() if due <= time.monotonic()]:
            del self._back[number]
            self._up[number] = self._born(number)

    def _kill(self, number: int) -> None:
        daemon = self._up.pop(number)
        with suppress(QorumError):  # it may be only starting
            self._ask(number, daemon)
        time.sleep(self._random.uniform(0, 0.1))
        self._check(daemon.log())
        daemon.kill()
        self._back[number] = time.monotonic() + self._random.uniform(0, 1)

    def _ask(self, number: int, daemon: Daemon) -> None:
        """What it acknowledges must be what it, and everybody, has acknowledged before."""
        if self._random.random() < 0.5:
            line = line_to(load_config(daemon.config), number)
            result = line.ask("members/{member}/sync", SyncResult, Wait(timeout_s=0.5), 0.5)
            if result.agreed:
                self._knew[number] = max(result.round, self._knew.get(number, 0))
        (member,) = daemon.status().members
        assert member.round >= self._knew.get(number, 0), f"node {number} has forgotten a round"
        assert self._states.setdefault(member.round, member.state) == member.state, "one round, two states"
        self._knew[number] = member.round

    def _check(self, log: str) -> None:
        events = [json.loads(line) for line in log.splitlines() if line.endswith("}")]
        assert not [event for event in events if event["event"] in FAULTS]

    def end(self) -> int:
        """All agree in the end, on one history; how many rounds it has."""
        goal = max(self._knew.values()) + 2
        try:
            until(lambda: all(d.status().members[0].round >= goal for d in self._up.values()), "all agree", every_s=0.2)
        except AssertionError as error:
            told = [(number, daemon.status().members[0]) for number, daemon in self._up.items()]
            raise AssertionError("\n".join(f"{number}: {it.round} {it.doing}" for number, it in told)) from error
        for number, daemon in self._up.items():
            self._ask(number, daemon)
            account, log = daemon.end()
            self._check("\n".join(map(json.dumps, log)))
            assert account["errors"] == []
            for agreed in account["members"].values():
                for round, state in agreed.items():
                    assert self._states.setdefault(int(round), state) == state
        return max(self._knew.values())

    def close(self) -> None:
        """End whatever runs."""
        for daemon in self._up.values():
            if daemon.process.poll() is None:
                daemon.kill()


@pytest.mark.parametrize("kills", [12, pytest.param(300, marks=pytest.mark.long)])
def test_no_kill_loses_what_was_acknowledged_or_makes_a_member_sign_twice(tmp_path: Path, kills: int) -> None:
    campaign = Campaign(tmp_path / "f", seed=kills)
    try:
        campaign.run(kills)
        assert campaign.end() >= kills // 10
    finally:
        campaign.close()
