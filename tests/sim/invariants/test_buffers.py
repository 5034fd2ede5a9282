"""Bounded buffers: each bound fires."""

from __future__ import annotations

import pytest

from qorum.sim.invariants.buffers import BOUNDS, BoundedBuffers
from tests.sim.invariants.histories import History, texts


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.what)
def test_it_fires_past_the_bound(bound, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    history = History(rounds=1)
    watch = history.watch(BoundedBuffers)
    assert bound.size(history.cluster.hosts[0].member) >= 0
    grown = bound._replace(size=lambda member: bound.limit(member, 4) + member.me)
    monkeypatch.setattr("qorum.sim.invariants.buffers.BOUNDS", (grown,))
    watch.check()
    limit = bound.limit(history.cluster.hosts[1].member, 4)
    assert f"member 1 holds {limit + 1} {bound.what}; the bound is {limit}" in texts(watch.violations)
    assert "member 0" not in texts(watch.violations)


def test_it_measures_what_is_there() -> None:
    history = History(rounds=1)
    watch = history.watch(BoundedBuffers)
    member = history.cluster.hosts[3].member
    member.gossip._served.update((peer, str(number)) for peer in range(4) for number in range(100))
    watch.check()
    assert "answers given in a tick" in texts(watch.violations)
