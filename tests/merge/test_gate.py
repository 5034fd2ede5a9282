"""The gate: no agent can be talked out of what it knows."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qorum.config import FederationConfig
from qorum.merge.fixed import ONE, VALUE_LIMIT
from qorum.merge.gate import gate
from qorum.merge.interval import pooled_spread
from qorum.merge.rules import Rules

VALUES = st.integers(-VALUE_LIMIT, VALUE_LIMIT)
SPREADS = st.integers(0, 2 * VALUE_LIMIT)
RULES = Rules.of(FederationConfig(gate_factor=3.0), 10, 3)


@given(VALUES, VALUES, st.integers(1, 2**32 - 1), SPREADS, SPREADS)
def test_an_agreed_value_stays_within_the_own_interval(
    agreed: int, own: int, visits: int, spread: int, agreed_spread: int
) -> None:
    columns = [np.array([column]) for column in (agreed, own, visits, spread, agreed_spread)]
    accepted = gate(*columns, RULES).item()
    pooled = pooled_spread(*columns[3:1:-1], columns[4]).item()
    width = 3 * pooled / math.sqrt(visits) + RULES.rewrite_threshold
    assert abs(accepted - own) <= width * 1.001 + 2
    assert min(agreed, own) <= accepted <= max(agreed, own)
    if abs(agreed - own) <= width:
        assert accepted == agreed


def test_a_lie_about_a_cell_one_knows_exactly_is_cut_off_at_the_threshold() -> None:
    none = np.zeros(2, dtype=np.int64)
    lies = np.array([VALUE_LIMIT, -VALUE_LIMIT])
    accepted = gate(lies, none + 5 * ONE, none + 3, none, none, RULES)
    assert accepted.tolist() == [5 * ONE + RULES.rewrite_threshold, 5 * ONE - RULES.rewrite_threshold]


def test_the_more_one_has_seen_the_less_one_can_be_moved() -> None:
    visits = np.array([1, 4, 100, 10_000])
    same = np.ones(4, dtype=np.int64)
    moved = gate(same * VALUE_LIMIT, 0 * same, visits, same * ONE, same * ONE, RULES)
    assert moved.tolist() == sorted(moved.tolist(), reverse=True)
    assert 3 * ONE <= moved[0] < 3.1 * ONE
