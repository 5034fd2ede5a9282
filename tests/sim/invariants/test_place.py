"""Round and term never fall: fires when they do."""

from __future__ import annotations

from qorum.core.effects import Persist
from qorum.sim.invariants.place import RisingPlace
from tests.sim.invariants.histories import History, texts


def test_it_fires_on_an_earlier_record() -> None:
    history = History()
    watch = history.watch(RisingPlace)
    watch.carried_out(history.cluster.hosts[0], history.of(Persist)[0])
    assert "the record of member 0 falls from" in texts(watch.violations)


def test_it_fires_on_a_member_behind_its_record() -> None:
    history = History()
    watch = history.watch(RisingPlace)
    history.cluster.hosts[2].member.consensus.durable.round = 1
    watch.check()
    assert "member 2 is in 1.0" in texts(watch.violations)
