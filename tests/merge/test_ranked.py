"""Sorting many small groups at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qorum.merge.ranked import PAD, ranked


@given(st.lists(st.lists(st.integers(-(2**62), 2**62), max_size=20), max_size=12))
def test_every_group_comes_once_sorted_and_padded(groups: list[list[int]]) -> None:
    values = np.array([value for group in groups for value in group], dtype=np.int64)
    sizes = np.array([len(group) for group in groups], dtype=np.int64)
    found = {}
    for which, rows in ranked(values, sizes):
        for index, row in zip(which.tolist(), rows.tolist(), strict=True):
            assert index not in found
            assert set(row[sizes[index] :]) <= {PAD}
            found[index] = row[: sizes[index]]
    assert found == {index: sorted(group) for index, group in enumerate(groups) if group}


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_input_is_left_alone(groups: int, size: int) -> None:
    values = np.arange(groups * size, dtype=np.int64)[::-1].copy()
    before = values.copy()
    list(ranked(values, np.full(groups, size)))
    assert np.array_equal(values, before)
