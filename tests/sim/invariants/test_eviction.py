"""Eviction: fires when evidence leads to nothing."""

from __future__ import annotations

import pytest

from qorum.sim.invariants.eviction import Eviction
from tests.sim.invariants.histories import History, texts
from tests.sim.invariants.test_evidence import proof


@pytest.mark.parametrize("members", [4, 3])
def test_it_fires_on_a_caught_liar_that_keeps_its_seat_unless_nobody_can_be_spared(members: int) -> None:
    history = History(members, liars=[members - 1])
    watch, host = history.watch(Eviction), history.cluster.hosts[0]
    host.member.docket.evidence[members - 1] = proof(history)
    watch.healed()
    watch.end()
    expected = "member 0 has evidence against member 3, which keeps its seat" if members == 4 else ""
    assert texts(watch.violations) == expected


def test_a_liar_that_is_gone_is_no_matter() -> None:
    history = History(5, liars=[4])
    watch, host = history.watch(Eviction), history.cluster.hosts[0]
    host.member.docket.evidence[4] = proof(history)
    watch.healed()
    roster = watch.ledger.roster(99)
    seats = tuple(seat for seat in roster.seats)[:4]
    watch.ledger.rosters[watch.ledger.furthest + 1] = type(roster)(roster.federation, roster.config, seats)
    assert watch.end() == []
