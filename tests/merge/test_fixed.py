"""Fixed point arithmetic, compared with Python's own integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qorum.errors import TableError
from qorum.merge.fixed import (
    ONE,
    POWER_ONE,
    VALUE_LIMIT,
    WEIGHT_LIMIT,
    distinct,
    divide,
    isqrt,
    power,
    scale,
    to_fixed,
    to_float,
    visit_cap,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.integers(-VALUE_LIMIT, VALUE_LIMIT)


@given(INT64, st.integers(1, 2**62 - 1))
@example(5, 2)
@example(7, 2)
@example(-5, 2)
@example(-(2**63), 1)
@example(2**63 - 1, 2**62 - 1)
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    assert divide([numerator], [denominator]).tolist() == [round(Fraction(numerator, denominator))]


@given(st.integers(0, 2**62 - 1))
@example(0)
@example(2**62 - 1)
@example((2**31 - 1) ** 2)
@example((2**31 - 1) ** 2 - 1)
def test_root_is_exact(value: int) -> None:
    assert isqrt([value]).tolist() == [math.isqrt(value)]


@given(st.integers(2, 2**31 - 1))
def test_root_is_exact_next_to_every_square(root: int) -> None:
    square = root * root
    assert isqrt([square - 1, square, square + 1]).tolist() == [root - 1, root, root]


@given(st.integers(0, POWER_ONE), st.integers(0, WEIGHT_LIMIT))
@example(POWER_ONE, WEIGHT_LIMIT)
@example(0, 0)
def test_power_squares_and_rounds_like_python_integers(base: int, exponent: int) -> None:
    result, square, left = POWER_ONE, base, exponent
    while left:
        if left & 1:
            result = round(Fraction(result * square, POWER_ONE))
        square = round(Fraction(square * square, POWER_ONE))
        left >>= 1
    assert power(base, [exponent]).tolist() == [result]


@given(st.floats(0.01, 1.0), st.integers(0, WEIGHT_LIMIT))
def test_power_is_close_to_the_real_one(alpha: float, exponent: int) -> None:
    base = round((1 - alpha) * POWER_ONE)
    exact = (base / POWER_ONE) ** exponent
    assert abs(power(base, exponent).item() / POWER_ONE - exact) < 1 / ONE


def test_scalars_give_arrays_without_dimensions() -> None:
    assert isqrt(17).shape == power(POWER_ONE // 2, 1).shape == divide(7, 2).shape == ()
    assert (isqrt(17), power(POWER_ONE // 2, 1), divide(7, 2)) == (4, POWER_ONE // 2, 4)


@given(VALUES, st.integers(0, ONE))
def test_scale_is_a_rounded_product(value: int, fraction: int) -> None:
    assert scale([value], fraction).tolist() == [round(Fraction(value * fraction, ONE))]


@given(VALUES)
@example(VALUE_LIMIT)
@example(-VALUE_LIMIT)
def test_every_fixed_value_survives_a_float(fixed: int) -> None:
    assert to_fixed(to_float([fixed])).tolist() == [fixed]


@given(st.floats(-(2.0**20), 2.0**20))
def test_floats_are_rounded_half_to_even(value: float) -> None:
    assert to_fixed([value]).tolist() == [round(Fraction(value) * ONE)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2.0**20 + 2**-20, -(2.0**21)])
def test_values_outside_the_range_are_refused(bad: float) -> None:
    with pytest.raises(TableError, match="row 1 is not a finite number"):
        to_fixed([0.0, bad, bad])


@given(st.integers(1, WEIGHT_LIMIT))
@example(1)
@example(593)
def test_visits_of_all_members_times_the_largest_value_fit_int64(n_members: int) -> None:
    cap = visit_cap(n_members)
    assert 1 <= cap <= 4096
    assert n_members * cap * VALUE_LIMIT < 2**63


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_distinct_values_come_once_and_in_order(values: list[int]) -> None:
    assert distinct(np.array(values, dtype=np.uint64)).tolist() == sorted(set(values))
