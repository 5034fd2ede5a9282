"""Debts: what was used up on one link is still owed on the next."""

from __future__ import annotations

from qorum.node.debts import REMEMBERED, Debts


def test_debts_are_paid_back_with_time() -> None:
    debts = Debts()
    debts.note([b"a", b"b"], 30, now=100)
    assert debts.of([b"a"], 100) == 30
    assert debts.of([b"b"], 120) == 10
    assert debts.of([b"a", b"b"], 130) == debts.of([b"a"], 500) == 0


def test_who_is_not_known_owes_nothing() -> None:
    assert Debts().of([b"a"], 5) == Debts().of([], 5) == 0


def test_the_one_who_owes_most_counts() -> None:
    debts = Debts()
    debts.note([b"a"], 30, now=0)
    debts.note([b"b"], 10, now=0)
    assert debts.of([b"b", b"a", b"c"], 0) == 30


def test_a_smaller_debt_does_not_wipe_out_a_larger_one() -> None:
    debts = Debts()
    debts.note([b"a"], 30, now=0)
    debts.note([b"a"], 1, now=0)
    assert debts.of([b"a"], 0) == 30


def test_the_oldest_are_forgotten_in_the_end() -> None:
    debts = Debts()
    for number in range(REMEMBERED + 1):
        debts.note([number.to_bytes(32, "big")], 30, now=0)
    assert debts.of([bytes(32)], 0) == 0
    assert len(debts._paid) == REMEMBERED
