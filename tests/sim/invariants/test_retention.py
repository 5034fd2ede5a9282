"""Retention: fires on a write that is lost, and on an item that nobody signed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from qorum.core import wire
from qorum.core.effects import Sign
from qorum.core.messages import Contribution, Head, Kind
from qorum.sim.cluster import random_columns
from qorum.sim.invariants.retention import Retention
from tests.sim.invariants.histories import History, texts


def unheard(history: History, seq: int = 99, incarnation: int = 0) -> Sign:
    """A signature of member 2 under an item that nobody ever heard of."""
    payload = random_columns(Random(1), 8, 2).pack()
    body = wire.encode(Contribution(2, incarnation, seq, bytes(32), 0, payload))
    return Sign(Kind.CONTRIBUTION, 0, 0, body, b"")


def test_it_fires_on_a_write_that_never_came_through() -> None:
    history = History()
    watch, host = history.watch(Retention), history.cluster.hosts[2]
    watch.carried_out(host, unheard(history))
    watch.healed()
    outstanding = next(i for i in watch.invariants if isinstance(i, Retention)).outstanding
    assert len(outstanding) == 4 * 2
    watch.end()
    assert "what member 2 wrote of cell" in texts(watch.violations)
    assert "is not agreed on at member 0" in texts(watch.violations)


def test_a_later_item_may_say_it_again() -> None:
    history = History()
    watch, host = history.watch(Retention), history.cluster.hosts[2]
    state = history.committed(2).state
    cells = {(s, a) for s, a in zip(state.cells.state_hash.tolist(), state.cells.action.tolist(), strict=True)}
    sign = next(s for s in history.signs(Kind.CONTRIBUTION, 2) if wire.decode_body(Contribution, s.body).payload)
    watch.carried_out(host, sign)
    watch.healed()
    assert cells
    assert watch.end() == []


def test_who_is_down_is_owed_nothing() -> None:
    history = History()
    watch, host = history.watch(Retention), history.cluster.hosts[2]
    watch.carried_out(host, unheard(history))
    host.stop()
    watch.healed()
    assert watch.end() == []


def test_a_key_that_is_given_up_is_owed_nothing() -> None:
    history = History()
    watch, host = history.watch(Retention), history.cluster.hosts[2]
    watch.carried_out(host, unheard(history))
    host.lose()
    history.cluster.replace(host, trusting=False)
    watch.healed()
    assert "what member 2 wrote" not in texts(watch.end())


def test_it_fires_on_an_item_its_author_did_not_sign() -> None:
    history = History()
    watch, good = history.watch(Retention), history.committed(2)
    heads = (good.state.heads[0], Head(0, 5, bytes(32)), *good.state.heads[2:])
    watch.carried_out(history.cluster.hosts[0], replace(good, state=replace(good.state, heads=heads)))
    assert "takes an item that member 1 did not sign" in texts(watch.violations)
