"""The right epoch: fires on another epoch or federation."""

from __future__ import annotations

from dataclasses import replace

from qorum.core.messages import Kind
from qorum.sim.invariants.epoch import RightEpoch
from tests.sim.invariants.histories import History, texts, with_value


def test_it_fires_on_a_value_of_another_epoch() -> None:
    history = History()
    watch = history.watch(RightEpoch)
    watch.carried_out(history.cluster.hosts[0], with_value(history.committed(2), epoch=3))
    assert "with a value of epoch 3" in texts(watch.violations)


def test_it_fires_on_signatures_for_another_epoch_or_federation() -> None:
    history = History()
    watch, sign = history.watch(RightEpoch), history.signs(Kind.FIRST_VOTE)[0]
    for data in (sign.data[:33] + b"\0\0\0\5" + sign.data[37:], sign.data[:1] + bytes(32) + sign.data[33:]):
        watch.carried_out(history.cluster.hosts[0], replace(sign, data=data))
    assert len(watch.violations) == 2
    assert "signs for epoch 5" in texts(watch.violations)


def test_it_fires_on_a_vote_of_somebody_without_a_seat_and_on_an_item_under_a_former_key() -> None:
    history = History()
    watch, host = history.watch(RightEpoch), history.cluster.hosts[0]
    vote, item = history.signs(Kind.FIRST_VOTE)[0], history.signs(Kind.CONTRIBUTION)[0]
    host.lose()
    history.cluster.replace(host, trusting=False)
    for sign in (vote, item):
        watch.carried_out(host, sign)
    assert len(watch.violations) == 2
