"""Versions: fires on a tip that its author did not sign."""

from __future__ import annotations

from qorum.core.messages import Head
from qorum.sim.invariants.versions import Versions
from tests.sim.invariants.histories import History, texts


def test_it_fires_on_a_tip_nobody_signed() -> None:
    history = History()
    watch = history.watch(Versions)
    history.cluster.hosts[1].member.streams.tips[2] = Head(0, 99, bytes(32))
    watch.check()
    assert "member 1 holds item 99 of member 2, which did not sign it" in texts(watch.violations)


def test_what_liars_sign_is_not_known() -> None:
    history = History(liars=[2])
    watch = history.watch(Versions)
    history.cluster.hosts[1].member.streams.tips[2] = Head(0, 99, bytes(32))
    watch.check()
    assert watch.violations == []
