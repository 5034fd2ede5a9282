"""Seven members on three hosts, each a network namespace, and between them a network that drops, delays and parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from qorum.node.layout import lay_out
from qorum.node.status import NodeStatus
from tests.node.builders import QUICK
from tests.node.processes import Daemon
from tests.node.processes import until as until_soon
from tests.node.weather import Host, Way, Weather, missing

pytestmark = [pytest.mark.long, pytest.mark.skipif(missing() is not None, reason=missing() or "")]

ONE, OTHER, BIG = range(3)
"""Hosts of two members, of two, and of three."""
ALL = (ONE, OTHER, BIG)


class Site:
    """A node on its host."""

    def __init__(self, host: Host, config: Path) -> None:
        self._host = host
        self.daemon = host.run(lambda: Daemon(config, "--task", "grid", "--rate", "20"))
        self._line = self.daemon.line

    def status(self) -> NodeStatus:
        """What its operator reads there."""
        return self._host.run(lambda: self._line.ask("status", NodeStatus))

    @property
    def round(self) -> int:
        """Newest round that all its members agreed on."""
        return min(member.round for member in self.status().members)

    @property
    def interactions(self) -> int:
        """Steps that its agents have taken."""
        return sum(member.interactions for member in self.status().members)

    def end(self) -> dict[str, dict[str, str]]:
        """Member -> round -> hash of the state that it agreed on."""
        return self.daemon.end()[0]["members"]


@contextmanager
def federation(folder: Path, weather: Weather) -> Iterator[list[Site]]:
    layout = lay_out(folder, QUICK, 7, [f"{host.address}:7400" for host in weather.hosts], tls=True)
    sites = [Site(host, Path(node.config)) for host, node in zip(weather.hosts, layout.nodes, strict=True)]
    try:
        yield sites
    finally:
        for site in sites:
            if site.daemon.process.poll() is None:
                site.daemon.kill()


def advance(sites: list[Site], hosts: tuple[int, ...], rounds: int = 2) -> Callable[[], bool]:
    """Whether so many rounds more than now were agreed on by all members of these hosts."""
    goal = max(sites[host].round for host in hosts) + rounds
    return lambda: all(sites[host].round >= goal for host in hosts)


def until(holds: Callable[[], bool], why: str, timeout_s: float = 60.0) -> None:
    """Ask now and then: every answer takes a handshake."""
    until_soon(holds, why, timeout_s, every_s=0.25)


def says(site: Site, *words: str) -> bool:
    return all(word in site.status().state for word in words)


def learns(site: Site, then: int) -> bool:
    return site.interactions > then


def test_hosts_part_and_meet_again_and_nothing_is_lost(tmp_path: Path) -> None:
    with Weather(3) as weather, federation(tmp_path / "f", weather) as sites:
        until(lambda: all(says(site, "agreeing") and site.round >= 1 for site in sites), "all agree on a first round")

        weather.set(Way(loss=0.2, delay_s=0.05))
        weather.set(Way(open=False), [(ONE, OTHER)])
        until(advance(sites, ALL), "rounds go on at 50 ms, with every fifth packet lost, and one way closed", 120)

        weather.set(Way())
        weather.cut(ONE)
        until(advance(sites, (OTHER, BIG), 4), "five of seven go on")
        until(lambda: says(sites[ONE], "gossip only", "2 of 5"), "the host of two says that it is alone")
        until(partial(learns, sites[ONE], sites[ONE].interactions), "and its agents learn")
        assert sites[ONE].round < sites[BIG].round

        weather.set(Way())
        until(lambda: sites[ONE].round >= sites[BIG].round - 1 and says(sites[ONE], "agreeing"), "it catches up", 90)

        weather.cut(BIG)
        until(lambda: says(sites[BIG], "gossip only", "3 of 5"), "the host of three says that it is alone")
        until(lambda: all(says(sites[host], "gossip only", "4 of 5") for host in (ONE, OTHER)), "and so do the others")
        before = [(site.round, site.interactions) for site in sites]
        time.sleep(3)
        for site, (round, interactions) in zip(sites, before, strict=True):
            assert site.round == round
            assert site.interactions > interactions

        weather.set(Way())
        until(advance(sites, ALL), "all agree again", 90)
        newest = min(site.round for site in sites)
        assert_one_history([site.end() for site in sites], newest)


def assert_one_history(accounts: list[dict[str, dict[str, str]]], newest: int) -> None:
    """Every round led all members that agreed on it to one table, and all seven have had one at least as new."""
    rounds = [agreed for account in accounts for agreed in account.values()]
    assert len(rounds) == 7
    states: dict[str, set[str]] = {}
    for agreed in rounds:
        for round, state in agreed.items():
            states.setdefault(round, set()).add(state)
    assert all(len(found) == 1 for found in states.values())
    common = set.intersection(*(set(agreed) for agreed in rounds))
    assert max(map(int, common)) >= newest
