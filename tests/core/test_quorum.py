"""Quorum sizes: two quorums always share an honest member, and a quorum of honest members always exists."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.quorum import Quorum

THRESHOLDS = st.one_of(st.just(0.33), st.just(1 / 3), st.floats(0.0001, 1 / 3))


@given(st.integers(1, 5000), THRESHOLDS)
def test_any_two_quorums_share_more_members_than_may_lie(n: int, threshold: float) -> None:
    quorum = Quorum.of(n, threshold)
    assert 2 * quorum.size - n > quorum.tolerated


@given(st.integers(1, 5000), THRESHOLDS)
def test_honest_members_are_a_quorum_without_the_liars(n: int, threshold: float) -> None:
    quorum = Quorum.of(n, threshold)
    assert n - quorum.tolerated >= quorum.size
    assert 0 <= 3 * quorum.tolerated < n


@given(st.integers(1, 5000))
def test_in_crash_mode_more_than_half_decide(n: int) -> None:
    quorum = Quorum.of(n, 0)
    assert quorum == (n, 0, n // 2 + 1, True)
    assert 2 * quorum.size > n


@pytest.mark.parametrize("threshold", [0.33, 0.3333, 1 / 3])
def test_the_founding_size(threshold: float) -> None:
    assert Quorum.of(593, threshold) == (593, 197, 396, False)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_up_to_three_members_tolerate_no_liar_and_all_must_agree(n: int) -> None:
    quorum = Quorum.of(n, 0.33)
    assert quorum == (n, 0, n, False), "not crash mode: one of them alone may not decide"


@given(st.integers(1, 5000), st.integers(1, 32))
def test_a_smaller_threshold_is_a_share_of_the_members(n: int, percent: int) -> None:
    exact = int(Fraction(percent, 100) * n)
    assert Quorum.of(n, percent / 100).tolerated == min(exact, (n - 1) // 3)


def test_a_share_is_that_of_the_decimal_not_of_its_float() -> None:
    assert Quorum.of(100, 0.29).tolerated == 29
