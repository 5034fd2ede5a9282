"""One body a slot: fires on a second one, in a later life too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qorum.core.messages import Kind
from qorum.sim.invariants.single_body import SingleBody
from tests.sim.invariants.histories import History, texts


@pytest.mark.parametrize("kind", list(Kind)[:4])
def test_it_fires_on_a_second_body(kind: Kind) -> None:
    history = History()
    watch = history.watch(SingleBody)
    host = next(host for host in history.cluster.hosts if history.signs(kind, host.address))
    sign = history.signs(kind, host.address)[0]
    host.life += 1
    watch.carried_out(host, sign)
    assert watch.violations == [], "the same bytes again are no second body"
    watch.carried_out(host, replace(sign, data=sign.data[:-1] + b"?"))
    assert f"signs a second {kind.name}" in texts(watch.violations)
