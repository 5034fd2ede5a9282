"""Admission: fires when somebody with a right to a seat stays outside."""

from __future__ import annotations

from qorum.sim.invariants.admission import Admission
from tests.sim.invariants.histories import History, texts


def test_it_fires_on_a_newcomer_and_on_a_new_key_that_wait_in_vain() -> None:
    history = History()
    watch, cluster = history.watch(Admission), history.cluster
    cluster.join(trusting=False)
    cluster.hosts[2].lose()
    cluster.replace(cluster.hosts[2], trusting=False)
    watch.healed()
    watch.end()
    found = texts(watch.violations)
    assert "newcomer 4 has no part in what is agreed on by round" in found
    assert "member 2 (life 1) has no part" in found


def test_members_and_those_who_are_down_are_no_matter() -> None:
    history = History()
    watch, cluster = history.watch(Admission), history.cluster
    cluster.join(trusting=False).stop()
    cluster.hosts[2].lose()
    watch.healed()
    assert watch.end() == []
