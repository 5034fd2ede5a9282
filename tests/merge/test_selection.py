"""Order statistics of many small groups at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qorum.merge.selection import PAD, select

GROUP = st.tuples(st.lists(st.integers(-(2**62), 2**62), max_size=20), st.integers(0, 20))


@given(st.lists(GROUP, max_size=12))
def test_the_value_of_every_rank(groups: list[tuple[list[int], int]]) -> None:
    values = np.array([value for group, _ in groups for value in group], dtype=np.int64)
    sizes = np.array([len(group) for group, _ in groups], dtype=np.int64)
    rank = np.array([rank for _, rank in groups], dtype=np.int64)
    expected = [sorted(group)[rank] if rank < len(group) else PAD for group, rank in groups]
    assert select(values, sizes, rank).tolist() == expected


@given(st.integers(-(2**62), 2**62), st.sampled_from([1, 2**31 - 1, 2**31]), st.booleans())
def test_values_close_together_and_far_from_zero(least: int, reach: int, even: bool) -> None:
    values = np.array([reach, 0, 1, 0, reach] + even * [1]) + least
    sizes = np.array([3, 3 if even else 2])
    assert select(values, sizes, sizes - 1).tolist() == [least + reach] * 2
    assert select(values, sizes, sizes * 0).tolist() == [least] * 2


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_input_is_left_alone(groups: int, size: int) -> None:
    values = np.arange(groups * size, dtype=np.int64)[::-1].copy()
    before = values.copy()
    select(values, np.full(groups, size), np.zeros(groups, dtype=np.int64))
    assert np.array_equal(values, before)
