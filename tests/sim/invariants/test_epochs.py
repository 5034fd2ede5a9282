"""Epochs: fires on two rosters, on one that does not follow, and on a gap in what a disk keeps."""

from __future__ import annotations

from dataclasses import replace

from qorum.core.effects import Committed
from qorum.core.messages import Leave
from qorum.sim.invariants.epochs import Epochs
from tests.sim.invariants.histories import History, texts, with_value


def with_roster(effect: Committed, round: int) -> Committed:
    """The same commit with a roster that another change led to."""
    return replace(effect, state=replace(effect.state, roster=effect.state.roster.after(Leave(1, 0), round)))


def test_it_fires_on_a_roster_without_a_change() -> None:
    history = History()
    host, good = history.first_to_commit(3)
    watch = history.watch(Epochs, until=good)
    bad = with_roster(good, 3)
    watch.carried_out(host, with_value(bad, roster=bad.state.roster.hash))
    assert "epoch 1 does not follow epoch 0 by its change" in texts(watch.violations)


def test_it_fires_on_two_rosters_of_an_epoch() -> None:
    history = History()
    watch, host, good = history.watch(Epochs), history.cluster.hosts[0], history.committed(3)
    watch.ledger.by_epoch[1] = good.state.roster.after(Leave(2, 0), 3)
    watch.carried_out(host, with_roster(good, 3))
    found = texts(watch.violations)
    assert "its roster of epoch 1 is not that of the others" in found
    assert "its roster is not the agreed one" in found


def test_it_fires_on_a_gap_in_what_a_disk_keeps() -> None:
    history = History()
    watch, host, good = history.watch(Epochs), history.cluster.hosts[0], history.committed(3)
    host.disk.epochs = (history.committed(2).commit,)
    watch.carried_out(host, good)
    assert "its disk keeps the ends of epochs [0], and the epoch is 0" in texts(watch.violations)
