"""A federation agrees on the same bits in CPython and in WebAssembly, whose integers are 32 bits wide unless told."""

from __future__ import annotations

import pytest

from tests.js.cases import hashes, state_of
from tests.js.engines import in_chromium, in_node


@pytest.mark.parametrize("count", [150, pytest.param(2_000, marks=pytest.mark.long)])
def test_node_comes_to_the_same_states(count: int) -> None:
    assert in_node(0, count) == hashes(0, count)


@pytest.mark.parametrize("count", [50, pytest.param(1_000, marks=pytest.mark.long)])
def test_chromium_comes_to_the_same_states(count: int) -> None:
    assert in_chromium(0, count) == hashes(0, count)


def test_the_cases_meet_all_that_a_merge_decides() -> None:
    states = [state_of(seed) for seed in range(200)]
    assert sum(state.masks.any() for state in states) > 20
    assert sum(state.stakes.any() for state in states) > 20
    assert sum(state.excluded.any() for state in states) > 10
    assert sum(state.outliers.any() for state in states) > 2
