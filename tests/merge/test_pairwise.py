"""The founding record's pairwise merge, and the fault it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.merge.pairwise import merge_qtables
from qorum.qtable import MAX_VISITS, QTable

ENTRIES = st.dictionaries(
    st.tuples(st.integers(0, 3) | st.just(2**64 - 1), st.integers(0, 2)),
    st.tuples(st.floats(-(2.0**20), 2.0**20), st.integers(0, 5) | st.integers(0, MAX_VISITS)),
    max_size=8,
)


def table(entries: dict[tuple[int, int], tuple[float, int]]) -> QTable:
    return QTable.from_columns(
        [state for state, _ in entries],
        [action for _, action in entries],
        [value for value, _ in entries.values()],
        [visits for _, visits in entries.values()],
    )


def entries_of(merged: QTable) -> dict[tuple[int, int], tuple[float, int]]:
    return {(state, action): (value, visits) for state, action, value, visits in merged}


@given(ENTRIES, ENTRIES)
def test_every_cell_is_the_founding_formula(
    local: dict[tuple[int, int], tuple[float, int]], peer: dict[tuple[int, int], tuple[float, int]]
) -> None:
    expected, conflicts = dict(peer) | dict(local), 0
    for cell in local.keys() & peer.keys():
        (q1, v1), (q2, v2) = local[cell], peer[cell]
        merged_q = (q1 * v1 + q2 * v2) / (v1 + v2) if v1 + v2 else q1
        expected[cell] = (min(max(merged_q, -(2.0**20)), 2.0**20), min(v1 + v2, MAX_VISITS))
        conflicts += v1 > 0 and v2 > 0 and q1 != q2
    ours, theirs = table(local), table(peer)
    merged, counted = merge_qtables(ours, theirs)
    assert (entries_of(merged), counted) == (expected, conflicts)
    assert (ours, theirs) == (table(local), table(peer))  # the arguments are unchanged


def test_cells_nobody_visited_keep_the_local_value() -> None:
    merged, conflicts = merge_qtables(table({(1, 0): (3.0, 0)}), table({(1, 0): (7.0, 0), (2, 0): (5.0, 0)}))
    assert entries_of(merged) == {(1, 0): (3.0, 0), (2, 0): (5.0, 0)}
    assert conflicts == 0


def test_gossip_counts_the_same_visits_again() -> None:
    mine, peer = table({(1, 0): (0.0, 10)}), table({(1, 0): (10.0, 10)})
    once, _ = merge_qtables(mine, peer)
    twice, _ = merge_qtables(once, peer)
    assert once.get(1, 0) == (5.0, 20)
    value, visits = twice.get(1, 0) or (0.0, 0)
    assert visits == 30  # of only 20 that ever happened
    assert value == pytest.approx(20 / 3)  # and the peer weighs double
