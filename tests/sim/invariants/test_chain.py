"""The chain of values fires on a broken link."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from qorum.core.effects import Committed
from qorum.sim.invariants.chain import Chain
from tests.sim.invariants.histories import History, texts, with_value


def _of_another_value(effect: Committed) -> Committed:
    certificate = msgspec.structs.replace(effect.commit.certificate, value=bytes(32))
    return replace(effect, commit=msgspec.structs.replace(effect.commit, certificate=certificate))


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (lambda effect: with_value(effect, previous=bytes(32)), "does not cite the value of round 1"),
        (lambda effect: with_value(effect, round=7), "with a value of round 7"),
        (_of_another_value, "is for another value"),
    ],
)
def test_it_fires_on_a_broken_link(tamper, expected: str) -> None:  # type: ignore[no-untyped-def]
    history = History()
    watch = history.watch(Chain)
    watch.carried_out(history.cluster.hosts[0], tamper(history.committed(2)))
    assert expected in texts(watch.violations)
