"""Intervals, against exact rational arithmetic."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qorum.config import FederationConfig
from qorum.evidence import REPEATED
from qorum.merge.fixed import ONE, VALUE_LIMIT, Ints
from qorum.merge.interval import (
    PRIOR_VISITS,
    WIDEST,
    agreed_spread,
    half_width,
    pooled_spread,
    slack,
    typical_spread,
    widest_spread,
)
from qorum.merge.registers import Registers
from qorum.merge.rules import Rules

SPREADS = st.integers(0, WIDEST)
FACTORS = st.integers(0, 64 * 256)
VISITS = st.integers(1, 2**32 - 1)


def one(value: int) -> np.ndarray:
    return np.array([value], dtype=np.int64)


@given(FACTORS, SPREADS, VISITS)
@example(64 * 256, WIDEST, 1)
@example(64 * 256, WIDEST, 2**32 - 1)
def test_half_width_is_never_too_narrow_and_hardly_too_wide(factor: int, spread: int, visits: int) -> None:
    width = half_width(factor, one(spread), one(visits)).item()
    square = Fraction(factor * spread, 256) ** 2 / visits
    assert width**2 >= square
    assert max(0, width - 1) ** 2 <= square * Fraction(1025, 1024) ** 2


@given(st.floats(0, 0.9999), st.lists(st.integers(0, WIDEST), max_size=64), st.integers(-2, 70))
@example(0.9999, [WIDEST] * 64, 64)
def test_slack_covers_the_drift_since_the_claim(gamma: float, moves: list[int], age: int) -> None:
    rules = Rules.of(FederationConfig(gamma=gamma), 4, 1)
    drift = min(sum(moves[: max(0, age)]), WIDEST)  # two tables are never further apart than that
    expected = rules.rewrite_threshold + 1 + math.ceil(Fraction(rules.gamma * drift, ONE))
    assert slack(rules, np.array(moves, dtype=np.int64), one(age)).tolist() == [expected]


ROWS = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(-5, 30) | st.integers(0, 2**60))


@given(st.lists(ROWS, max_size=40), st.integers(-1, 20))
def test_agreed_spread_is_the_upper_median_of_those_with_two_visits(
    claims: list[tuple[int, int, int]], otherwise: int
) -> None:
    claims = sorted(claims)
    cell, visits, spread = np.array(claims, dtype=np.int64).reshape(-1, 3).T
    none = np.zeros_like(cell)
    registers = Registers(cell << 16 | np.arange(len(cell)), none, visits, spread, none, none)
    expected = []
    for wanted in range(4):
        stated = sorted(min(max(s, 0), WIDEST) for c, v, s in claims if c == wanted and v >= 2)
        expected.append(stated[len(stated) // 2] if stated else otherwise)
    assert agreed_spread(registers, 4, otherwise).tolist() == expected
    assert agreed_spread(registers, 4, np.full(4, otherwise)).tolist() == expected


MEMBERS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), SPREADS), max_size=60)


@given(MEMBERS, st.integers(0, 2 * WIDEST))
@example([(0, 2, WIDEST)] * 60, 0)
def test_the_typical_spread_is_the_root_mean_square_over_repeated_cells(
    claims: list[tuple[int, int, int]], span: int
) -> None:
    member, visits, spread = np.array(claims, dtype=np.int64).reshape(-1, 3).T
    typical = typical_spread(member, visits, spread, 4, span).tolist()
    for who in range(4):
        again = [s for m, v, s in claims if m == who and v >= 2]
        if len(again) < REPEATED:
            assert typical[who] == span
            continue
        mean = math.isqrt(sum(s * s for s in again) // len(again))
        assert mean - 3 * 2**11 <= typical[who] <= mean + 2**11  # a few steps of its resolution


        assert widest_spread(member, visits, spread, 4, span)[who] == max(again)


@pytest.mark.parametrize("leaning", [typical_spread, widest_spread])
def test_who_repeated_its_cells_and_saw_no_spread_expects_none(leaning: Callable[..., Ints]) -> None:
    same = np.zeros(REPEATED, dtype=np.int64)
    assert leaning(same, same + 2, same, 1, 77).tolist() == [0]
    assert leaning(same, same + 1, same, 1, 77).tolist() == [77]


def test_one_cell_of_chance_among_many_certain_ones_is_not_averaged_away() -> None:
    member, visits = np.zeros((2, 100), dtype=np.int64)
    spread = np.where(np.arange(100) == 50, ONE, 0)
    assert abs(typical_spread(member, visits + 2, spread, 1, 0).item() - ONE // 10) < 2**13
    assert widest_spread(member, visits + 2, spread, 1, 0).item() == ONE


@given(SPREADS, st.integers(0, 2**32 - 1), SPREADS)
@example(WIDEST, 2**32 - 1, WIDEST)
@example(WIDEST, 1, 0)
@example(0, 9, WIDEST)
@example(1, 9, 0)
def test_pooled_spread_is_never_below_the_real_one(own: int, visits: int, agreed: int) -> None:
    pooled = pooled_spread(one(own), one(visits), one(agreed)).item()
    weight = visits if visits >= 2 else 0
    square = Fraction(weight * own**2 + PRIOR_VISITS * agreed**2, weight + PRIOR_VISITS)
    assert pooled**2 >= square
    assert pooled <= math.isqrt(math.floor(square)) + 4 * 2**11  # a few steps of its resolution


def test_where_nobody_ever_saw_any_spread_there_is_none() -> None:
    assert pooled_spread(one(0), one(2), one(0)).tolist() == [0]
    assert half_width(1536, one(0), one(1)).tolist() == [0]


def test_the_widest_distance_is_that_between_the_limits() -> None:
    assert WIDEST == 2 * VALUE_LIMIT


def test_own_spread_and_agreed_spread_weigh_alike_at_four_visits() -> None:
    assert pooled_spread(one(0), one(4), one(2 * ONE)).item() / ONE == pytest.approx(2 / math.sqrt(2), abs=0.01)
