"""Budgets: nobody who keeps to them is ever refused, however the network bunches messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qorum.node.budget import PACE, PACE_S, SPARE, STALL_S, Bucket, Flow
from qorum.node.envelope import ENVELOPE_LIMIT


def test_an_allowance_is_used_up_and_comes_back() -> None:
    bucket = Bucket(rate=2, burst=3, now=0)
    assert [bucket.take(1, 0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1, 1) for _ in range(3)] == [True, True, False]
    assert [bucket.take(1, 100) for _ in range(4)] == [True, True, True, False], "no more than the burst"


def test_a_refusal_costs_nothing() -> None:
    bucket = Bucket(rate=1, burst=2, now=0)
    assert not bucket.take(3, 0)
    assert bucket.take(2, 0)


def test_a_new_one_may_begin_with_what_an_old_one_owes() -> None:
    old = Bucket(rate=10, burst=50, now=0)
    assert old.owed_s(0) == 0
    assert old.take(40, 0)
    assert old.owed_s(1) == 3
    new = Bucket(rate=10, burst=50, now=1, owed_s=3)
    assert not new.take(21, 1)
    assert new.take(20, 1)


def test_what_is_owed_is_paid_back_with_time() -> None:
    bucket = Bucket(rate=10, burst=5, now=0)
    assert bucket.owe(5, 0) == 0
    assert bucket.owe(20, 0) == 2
    assert bucket.owe(0, 1) == 1
    assert bucket.owe(0, 2) == 0


@given(
    st.lists(st.integers(1, ENVELOPE_LIMIT), min_size=1, max_size=60),
    st.floats(0, STALL_S * 0.7),
    st.integers(1, 10**7),
)
def test_who_keeps_the_pace_is_never_too_fast(sizes: list[int], stall: float, rate: int) -> None:
    """All it sends within a stall arrives at once after it, and the rest as it is sent."""
    sender, taker = Flow(PACE * rate, PACE * 1_000, PACE_S, 0), Flow(rate, 1_000, STALL_S, 0, spare=SPARE)
    now = 0.0
    for size in sizes:
        assert taker.take(size, max(now, stall))
        now += sender.owe(size, now)


@given(
    st.lists(st.lists(st.integers(1, ENVELOPE_LIMIT), min_size=1, max_size=12), min_size=1, max_size=8),
    st.integers(1, 10**7),
)
def test_who_keeps_the_pace_is_never_too_fast_over_one_link_after_another(links: list[list[int]], rate: int) -> None:
    """Both ends remember what the links before have used up."""
    now = owed_by_sender = owed_to_taker = 0.0
    for sizes in links:
        sender = Flow(PACE * rate, PACE * 1_000, PACE_S, now, owed_s=owed_by_sender)
        taker = Flow(rate, 1_000, STALL_S, now, spare=SPARE, owed_s=owed_to_taker)
        for size in sizes:
            now += sender.owe(0, now)
            assert taker.take(size, now)
            sender.owe(size, now)
        owed_by_sender, owed_to_taker = sender.owed_s(now), taker.owed_s(now)


def test_who_does_not_is() -> None:
    taker = Flow(1_000, 1_000, STALL_S, 0)
    assert not all(taker.take(100_000, number / 1_000) for number in range(100))
    taker = Flow(10**9, 10, STALL_S, 0)
    assert not all(taker.take(1, number / 1_000) for number in range(1_000))
