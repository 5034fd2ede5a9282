"""Blame: fires when it falls on the honest."""

from __future__ import annotations

from qorum.core.effects import Blame
from qorum.sim.cluster import GUESTS
from qorum.sim.invariants.blame import BlameOfLiarsOnly
from tests.sim.invariants.histories import History, texts


def test_guests_are_known_by_their_address() -> None:
    history = History(liars=[3])
    watch, host = history.watch(BlameOfLiarsOnly), history.cluster.hosts[0]
    watch.carried_out(host, Blame(GUESTS + 3, "noise"))
    watch.carried_out(host, Blame(GUESTS + 99, "noise"))
    assert watch.violations == []
    watch.carried_out(host, Blame(GUESTS + 2, "noise"))
    assert texts(watch.violations) == "member 0 blames member 2, which is honest: noise"


def test_it_fires_when_the_honest_are_blamed() -> None:
    history = History(liars=[3])
    watch, host = history.watch(BlameOfLiarsOnly), history.cluster.hosts[0]
    watch.carried_out(host, Blame(3, "noise"))
    assert watch.violations == []
    watch.carried_out(host, Blame(1, "noise"))
    assert texts(watch.violations) == "member 0 blames member 1, which is honest: noise"
