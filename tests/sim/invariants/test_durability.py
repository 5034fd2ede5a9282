"""Durability: fires on a round committed again, and on a state of an earlier round."""

from __future__ import annotations

from qorum.sim.invariants.durability import Durability
from tests.sim.invariants.histories import History, texts


def test_it_fires_on_a_round_committed_again() -> None:
    history = History()
    watch = history.watch(Durability)
    watch.carried_out(history.cluster.hosts[0], history.committed(1))
    assert "member 0 commits round 1 after round" in texts(watch.violations)


def test_it_fires_on_a_restart_that_forgets() -> None:
    history = History()
    watch, host = history.watch(Durability), history.cluster.hosts[0]
    host.stop()
    host.disk.kept, host.disk.record = None, None
    host.restart()
    watch.check()
    assert "member 0 (life 1) is back at round 0; it had committed" in texts(watch.violations)


def test_a_new_store_begins_anew() -> None:
    history = History()
    watch, host = history.watch(Durability), history.cluster.hosts[0]
    host.lose()
    history.cluster.replace(host, trusting=False)
    watch.check()
    watch.carried_out(host, history.committed(1))
    assert watch.violations == []
