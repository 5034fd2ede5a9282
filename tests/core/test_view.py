"""The personal view: the agreed table as far as a member's own evidence lets it believe it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.state import Entry, State
from qorum.core.view import personal_view
from qorum.evidence import REPEATED, Evidence
from tests.core.builders import Pen, Row, columns_of, evidence_of, genesis_of, mask_of

GENESIS = genesis_of(4)
NOTHING = Evidence.empty()
A, B, C = (1, 0), (1, 2), (5, 1)


def agreed(*rows: dict[tuple[int, int], Row]) -> State:
    """What members 0, 1, ... report together."""
    pens = [Pen(GENESIS, member) for member in range(len(rows))]
    entries = [pen.write(columns_of({}, each)) for pen, each in zip(pens, rows, strict=True)]
    return State.initial(GENESIS).apply(entries)


def test_without_own_evidence_it_is_the_agreed_table() -> None:
    state = agreed(*({A: (1.0, 2, 0.5), C: (value, 1, 0.0)} for value in (1, 2, 3)))
    assert personal_view(state, NOTHING) == state.table


def test_before_the_first_round_it_is_the_own_evidence() -> None:
    view = personal_view(State.initial(GENESIS), evidence_of({B: (2.0, 3, 0.5), A: (1.0, 2, 0.0)}))
    assert [tuple(row) for row in view] == [(*A, 1.0, 2), (*B, 2.0, 3)]


def test_cells_that_only_this_member_knows_are_added() -> None:
    state = agreed(*({A: (1.0, 2, 0.5)} for _ in range(4)))
    view = personal_view(state, evidence_of({B: (7.0, 3, 0.5), (0, 3): (8.0, 1, 0.0)}))
    assert [tuple(row) for row in view] == [(0, 3, 8.0, 1), (*A, 1.0, 8), (*B, 7.0, 3)]
    assert len(state.table) == 1, "the agreed table is shared and stays as it is"


def test_visits_that_liars_alone_may_have_made_up_do_not_count_for_the_explorer() -> None:
    """One of four may lie; a cell that two report is confirmed by nobody."""
    state = agreed({A: (1.0, 2, 0.5)}, {A: (1.0, 500, 0.5)}, {C: (1.0, 500, 0.5)})
    assert not state.merged.confirmed.any()
    view = personal_view(state, evidence_of({A: (1.0, 2, 0.5)}))
    assert [view.get(*cell) for cell in (A, C)] == [(1.0, 2), (1.0, 0)]


def test_the_gate_keeps_a_member_near_what_it_knows() -> None:
    state = agreed(*({A: (50.0, 9, 1.0)} for _ in range(4)))
    knows = {A: (2.0, 16, 1.0)}
    value, visits = personal_view(state, evidence_of(knows)).get(*A) or (None, None)
    sure = 2.0 + GENESIS.config.gate_factor * 1.0 / np.sqrt(16) + GENESIS.config.rewrite_threshold
    assert value is not None
    assert abs(value - sure) < 1e-2
    assert visits == state.table.get(*A)[1]  # type: ignore[index]
    assert state.table.get(*A)[0] == 50.0  # type: ignore[index]


def test_the_gate_lets_pass_what_the_own_evidence_allows() -> None:
    state = agreed(*({A: (2.3, 9, 1.0)} for _ in range(4)))
    assert personal_view(state, evidence_of({A: (2.0, 4, 1.0)})) == state.table


@given(st.floats(-100, 100), st.floats(-100, 100), st.integers(1, 1000))
def test_no_agreed_value_takes_a_member_out_of_its_interval(agreed_on: float, own: float, visits: int) -> None:
    state = agreed(*({A: (agreed_on, 9, 0.5)} for _ in range(4)))
    row = personal_view(state, evidence_of({A: (own, visits, 0.5)})).get(*A)
    believed, before = row[0], state.table.get(*A)[0]  # type: ignore[index]
    assert abs(believed - own) <= abs(before - own) + 1e-5
    assert min(own, before) - 1e-5 <= believed <= max(own, before) + 1e-5
    assert abs(believed - own) <= GENESIS.config.gate_factor * 0.51 / np.sqrt(visits) + 2e-3


def test_whom_nobody_but_this_member_accuses_counts_for_it_like_for_all() -> None:
    """One table for everybody: what it knows better itself the gate keeps."""
    state = agreed(*({A: (float(value), 9, 3.0)} for value in (1, 2, 3, 4)))
    pen = Pen(GENESIS, 0, state.heads[0])
    state = state.apply([pen.write(columns_of(affirmed=((0, 1),), accused=mask_of(3)), base=1)])
    assert personal_view(state, NOTHING) == state.table
    assert state.table.get(*A) == (2.5, 36)


def test_who_knows_the_noise_of_its_world_leans_on_that_where_nobody_visited_twice() -> None:
    """One visit says nothing of chance in that cell; without this any agreed value would pass."""
    state = agreed(*({A: (50.0, 1, 0.0)} for _ in range(4)))
    elsewhere: dict[tuple[int, int], Row] = {(100 + i, 0): (0.0, 9, 1.0) for i in range(REPEATED)}
    knows = personal_view(state, evidence_of({A: (2.0, 1, 0.0), **elsewhere})).get(*A)
    unsure = personal_view(state, evidence_of({A: (2.0, 1, 0.0), **dict(list(elsewhere.items())[1:])})).get(*A)
    reach = GENESIS.config.gate_factor * 1.0 + GENESIS.config.rewrite_threshold
    assert knows is not None
    assert abs(knows[0] - (2.0 + reach)) < 1e-2
    assert unsure == (50.0, 4)


def test_where_the_fleet_knows_the_noise_of_a_cell_the_own_world_does_not_matter() -> None:
    state = agreed(*({A: (50.0, 9, 40.0)} for _ in range(4)))
    elsewhere: dict[tuple[int, int], Row] = {(100 + i, 0): (0.0, 9, 0.0) for i in range(REPEATED)}
    assert personal_view(state, evidence_of({A: (2.0, 1, 0.0), **elsewhere})).get(*A) == (50.0, 36)


def newer(state: State, *rows: dict[tuple[int, int], Row]) -> list[Entry]:
    pens = [Pen(GENESIS, member, state.heads[member]) for member in range(len(rows))]
    return [pen.write(columns_of({}, each), base=state.round) for pen, each in zip(pens, rows, strict=True)]


def test_contributions_newer_than_the_cut_count_already() -> None:
    state = agreed(*({A: (1.0, 2, 0.5)} for _ in range(4)))
    entries = newer(state, *({A: (4.0, 3, 0.5), C: (5.0, 1, 0.0)} for _ in range(3)))
    view = personal_view(state, NOTHING, entries)
    assert [tuple(row) for row in view] == [(*A, 4.0, 9), (*C, 5.0, 3)], "the fourth said otherwise"
    assert personal_view(state, NOTHING) == state.table
    assert state.round == 1


def test_newer_contributions_pass_the_gate_too() -> None:
    state = agreed(*({A: (1.0, 2, 0.5)} for _ in range(4)))
    entries = newer(state, *({A: (90.0, 3, 0.5)} for _ in range(4)))
    view = personal_view(state, evidence_of({A: (1.0, 100, 0.5)}), entries)
    assert abs(view.get(*A)[0] - 1.0) < 0.25  # type: ignore[index]


def test_a_huge_spread_believes_everything() -> None:
    state = agreed(*({A: (50.0, 9, 1.0)} for _ in range(4)))
    assert personal_view(state, evidence_of({A: (2.0, 16, 1e300)})) == state.table
