"""Cells: an id once given means its cell for ever, and who reported what in which order does not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.cells import UNKNOWN, Cells

Pair = tuple[int, int]
PAIRS = st.tuples(st.sampled_from([0, 1, 5, 2**63, 2**64 - 1]), st.integers(0, 3))
BATCHES = st.lists(st.lists(PAIRS, max_size=6), max_size=5)


def columns(pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    states = np.array([state for state, _ in pairs], dtype=np.uint64)
    return states, np.array([action for _, action in pairs], dtype=np.uint8)


def listed(cells: Cells) -> list[Pair]:
    return list(zip(cells.state_hash.tolist(), cells.action.tolist(), strict=True))


def extended(cells: Cells, pairs: list[Pair]) -> Cells:
    return cells.extend(*columns(pairs))


@given(BATCHES)
def test_cells_are_only_ever_appended(batches: list[list[Pair]]) -> None:
    cells = Cells.empty(4)
    for batch in batches:
        before, cells = listed(cells), extended(cells, batch)
        assert listed(cells)[: len(before)] == before
        assert listed(cells)[len(before) :] == sorted(set(batch) - set(before))


@given(BATCHES)
def test_every_cell_is_found_by_its_id_and_no_other_is(batches: list[list[Pair]]) -> None:
    cells = Cells.empty(4)
    for batch in batches:
        cells = extended(cells, batch)
    known = listed(cells)
    assert cells.find(*columns(known)).tolist() == list(range(len(cells)))
    every = [(state, action) for state in (0, 1, 2, 5, 6, 2**63, 2**64 - 1) for action in range(4)]
    expected = [known.index(pair) if pair in known else UNKNOWN for pair in every]
    assert cells.find(*columns(every)).tolist() == expected


@given(BATCHES, st.data())
def test_ids_do_not_depend_on_who_reported_first(batches: list[list[Pair]], data: st.DataObject) -> None:
    first = extended(Cells.empty(4), [(5, 1)])
    pairs = [pair for batch in batches for pair in batch]
    assert listed(extended(first, pairs)) == listed(extended(first, data.draw(st.permutations(pairs))))


@given(BATCHES)
def test_the_order_is_by_state_and_action(batches: list[list[Pair]]) -> None:
    cells = Cells.empty(4)
    for batch in batches:
        cells = extended(cells, batch)
    assert [listed(cells)[i] for i in cells.order] == sorted(listed(cells))
    assert cells.states.tolist() == sorted({state for state, _ in listed(cells)})


def test_nothing_new_is_the_very_same_dictionary() -> None:
    cells = extended(Cells.empty(4), [(1, 0), (2, 3)])
    assert extended(cells, [(2, 3), (1, 0), (2, 3)]) is cells
    assert extended(cells, []) is cells


def test_the_grid_has_a_place_for_every_action() -> None:
    cells = extended(extended(Cells.empty(3), [(9, 2)]), [(4, 0)])
    assert cells.ids.tolist() == [[1, UNKNOWN, UNKNOWN], [UNKNOWN, UNKNOWN, 0]]


@pytest.mark.parametrize("pairs", [[], [(1, 1)]])
def test_an_empty_dictionary_knows_nothing(pairs: list[Pair]) -> None:
    cells = Cells.empty(4)
    assert len(cells) == len(cells.order) == 0
    assert cells.find(*columns(pairs)).tolist() == [UNKNOWN] * len(pairs)
