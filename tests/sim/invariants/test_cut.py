"""Cuts: fires on everything that a cut may not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from qorum.core import wire
from qorum.core.messages import Advance, Contribution, Item, Leave
from qorum.core.state import Entry
from qorum.sim.invariants.cut import CutValidity
from tests.sim.invariants.histories import History, texts

Cut = tuple[list[Advance], list[Entry]]


def changed(entry: Entry, **fields: Any) -> Entry:
    body = msgspec.structs.replace(entry.body, **fields)
    item = Item(wire.encode(body), entry.item.signature)
    return Entry(item, item.hash, wire.decode_body(Contribution, item.body), entry.columns)


def first(**fields: Any) -> Callable[[Cut], Cut]:
    """Change the first item, and the head that it is."""

    def tamper(cut: Cut) -> Cut:
        entry = changed(cut[1][0], **fields)
        return [Advance(cut[0][0].member, entry.head), *cut[0][1:]], [entry, *cut[1][1:]]

    return tamper


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (lambda cut: (cut[0][:2], [e for e in cut[1] if e.body.member < 2]), "2 origins"),
        (lambda cut: ([cut[0][0], *cut[0]], cut[1]), "4 origins"),
        (lambda cut: (cut[0], cut[1][1:]), "items are of other members than its origins"),
        (lambda cut: (cut[0], [cut[1][0]] * 5 + cut[1][1:]), "5 items of member 0"),
        (first(payload=bytes(100_001)), "too many bytes of member 0"),
        (first(previous=bytes(32)), "item 2 of member 0 does not follow item 1"),
        (first(seq=1), "item 1 of member 0 does not follow item 1"),
        (first(incarnation=1), "item 2 of member 0 does not follow item 1"),
        (first(base=2), "item 2 of member 0 does not follow item 1"),
        (lambda cut: ([Advance(0, cut[0][1].head), *cut[0][1:]], cut[1]), "misstates the head of member 0"),
        (first(payload=b""), "does not lead to the heads of the state"),
    ],
)
def test_it_fires(tamper: Callable[[Cut], Cut], expected: str) -> None:
    history = History()
    host, good = history.first_to_commit(2)
    watch = history.watch(CutValidity, until=good)
    cut, entries = good.cut, watch.ledger.entries(good)
    assert cut is not None
    assert entries is not None
    assert len(cut) == 4
    bad = tamper(([*cut], [*entries]))
    watch.ledger.entries = lambda effect: bad[1]  # type: ignore[method-assign]
    watch.carried_out(host, replace(good, cut=tuple(bad[0])))
    assert expected in texts(watch.violations)


def test_it_fires_on_an_origin_without_a_seat() -> None:
    history = History()
    host, good = history.first_to_commit(2)
    watch = history.watch(CutValidity, until=good)
    before = watch.ledger.states[1]
    watch.ledger.states[1] = replace(before, roster=before.roster.after(Leave(3, 0), 1))
    watch.carried_out(host, good)
    assert "an origin without a seat" in texts(watch.violations)


def test_a_seq_may_skip_what_an_item_restates() -> None:
    history = History()
    host, good = history.first_to_commit(2)
    watch = history.watch(CutValidity, until=good)
    entries = watch.ledger.entries(good)
    assert good.cut is not None
    assert entries is not None
    cut, restated = first(seq=3)(([*good.cut], [*entries]))
    watch.ledger.entries = lambda effect: restated  # type: ignore[method-assign]
    heads = (cut[0].head, *good.state.heads[1:])
    watch.carried_out(host, replace(good, cut=tuple(cut), state=replace(good.state, heads=heads)))
    assert texts(watch.violations) == "cut of round 2, committed by member " + str(host.seat) + (
        ", is not the one its value names"
    )
