"""Progress: fires when a healed federation stands still, is slow, or falls apart."""

from __future__ import annotations

from dataclasses import replace

from qorum.sim.invariants.progress import Progress, terms_allowed
from tests.sim.invariants.histories import History, texts


def test_it_fires_when_nothing_is_committed() -> None:
    history = History()
    watch = history.watch(Progress)
    watch.healed()
    watch.end()
    assert "member 3 has committed nothing after round" in texts(watch.violations)


def test_it_fires_on_too_many_terms() -> None:
    history = History()
    watch = history.watch(Progress)
    watch.healed()
    round = history.cluster.hosts[0].member.state.round + 1
    for address, late in ((0, 0), (1, 1)):
        good = history.committed(2, address)
        after = replace(good, state=replace(good.state, round=round), term=terms_allowed(4) + late)
        watch.carried_out(history.cluster.hosts[address], after)
    assert texts(watch.violations) == f"member 1 commits round {round} in term 9, not by 8"


def test_it_fires_on_two_states_of_one_round() -> None:
    history = History()
    watch = history.watch(Progress)
    watch.healed()
    member = history.cluster.hosts[0].member
    member.state = replace(member.state, since=member.state.since + 1)
    watch.end()
    assert "states of one round differ" in texts(watch.violations)


def test_before_a_heal_nothing_is_demanded() -> None:
    assert History().watch(Progress).end() == []
