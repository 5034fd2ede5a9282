"""Results are recomputed: fires on another state and on items that lead elsewhere."""

from __future__ import annotations

from dataclasses import replace

from qorum.sim.invariants.result import Result
from tests.sim.invariants.histories import History, texts, with_value


def test_it_fires_on_a_state_that_was_not_agreed_on() -> None:
    history = History()
    watch = history.watch(Result)
    good = history.committed(2)
    watch.carried_out(history.cluster.hosts[0], replace(good, state=history.committed(1).state.apply([])))
    assert "commits round 2 with a state that is not the agreed one" in texts(watch.violations)


def test_it_fires_on_items_that_lead_elsewhere() -> None:
    history = History()
    host, good = history.first_to_commit(2)
    watch = history.watch(Result, until=good)
    elsewhere = replace(good.state, since=1)
    watch.carried_out(host, with_value(replace(good, state=elsewhere), result=elsewhere.hash))
    assert "do not lead to its result" in texts(watch.violations)
