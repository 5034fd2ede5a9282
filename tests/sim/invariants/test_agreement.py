"""Agreement fires on a fork."""

from __future__ import annotations

from qorum.sim.invariants.agreement import Agreement
from tests.sim.invariants.histories import History, texts, with_value


def test_it_fires_when_two_hosts_commit_two_values() -> None:
    history = History()
    watch = history.watch(Agreement)
    watch.carried_out(history.cluster.hosts[1], with_value(history.committed(2, 1), result=bytes(32)))
    assert "fork: member 1 commits" in texts(watch.violations)
    assert watch.violations[0].name == "agreement"


def test_liars_may_commit_what_they_like() -> None:
    history = History(liars=[1])
    watch = history.watch(Agreement)
    watch.carried_out(history.cluster.hosts[1], with_value(history.committed(2, 0), result=bytes(32)))
    assert watch.violations == []
