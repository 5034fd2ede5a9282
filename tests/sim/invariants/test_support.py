"""Support: fires on a commit that too few honest members voted for."""

from __future__ import annotations

from qorum.core.effects import Sign
from qorum.core.messages import Kind
from qorum.sim.invariants.support import Support
from qorum.sim.invariants.watch import Watch
from tests.sim.invariants.histories import History, texts


def test_it_fires_when_one_of_four_voted() -> None:
    history = History()
    history.watch(Support)
    watch, host = Watch(history.cluster, [Support]), history.cluster.hosts[0]
    good = history.committed(1)
    term = good.commit.certificate.term
    for sign in history.of(Sign):
        if (sign.kind, sign.round, sign.term) == (Kind.SECOND_VOTE, 1, term):
            watch.carried_out(host, sign)
    watch.carried_out(host, good)
    assert "which only 1 honest members voted for" in texts(watch.violations)
