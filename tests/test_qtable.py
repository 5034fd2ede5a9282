"""A QTable stays sorted and valid, refuses bad input whole, and survives every import and export."""

from __future__ import annotations

import copy
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.encoding import hash_observation
from qorum.errors import EncodingError, MissingExtra, TableError
from qorum.qtable import Entry, QTable, QUpdate

Rows = dict[tuple[int, int], tuple[float, int]]

U64 = 2**64 - 1
# Few states near each end of the range and in the middle, so that cells repeat and no u64 is rounded.
state_hashes = st.sampled_from([0, 1, 2**53 + 1, 2**63, U64 - 1, U64]) | st.integers(0, U64)
values = st.floats(-(2.0**20), 2.0**20)
visit_counts = st.integers(0, 2**32 - 1)
cells = st.tuples(state_hashes, st.integers(0, 255))
rows_of_tables = st.dictionaries(cells, st.tuples(values, visit_counts), max_size=12)


def columns(rows: Rows, order: list[tuple[int, int]] | None = None) -> list[list[Any]]:
    order = list(rows) if order is None else order
    return [
        [state for state, _ in order],
        [action for _, action in order],
        [rows[cell][0] for cell in order],
        [rows[cell][1] for cell in order],
    ]


def table_of(rows: Rows) -> QTable:
    return QTable.from_columns(*columns(rows))


tables = rows_of_tables.map(table_of)


@pytest.fixture
def small() -> QTable:
    return QTable.from_columns([7, 5, 5, U64], [0, 2, 0, 1], [1.5, -2.0, 0.25, 9.0], [3, 0, 4, 1])


# -- columns ----------------------------------------------------------------------------------------------


@given(rows_of_tables)
def test_holds_what_it_was_given_sorted(rows: Rows) -> None:
    table = table_of(rows)
    assert list(table) == [Entry(*cell, *rows[cell]) for cell in sorted(rows)]
    assert table.states.tolist() == sorted({state for state, _ in rows})
    assert len(table) == len(rows)


@given(rows_of_tables, st.randoms())
def test_order_of_rows_does_not_matter(rows: Rows, random: Any) -> None:
    order = list(rows)
    random.shuffle(order)
    shuffled = QTable.from_columns(*columns(rows, order))
    one_by_one = QTable.empty()
    for cell in order:
        one_by_one.update(*cell, *rows[cell])
    for other in (shuffled, one_by_one):
        assert other == table_of(rows)
        assert other.content_hash() == table_of(rows).content_hash()


@given(rows_of_tables, rows_of_tables)
def test_equal_exactly_when_the_rows_are(one: Rows, other: Rows) -> None:
    assert (table_of(one) == table_of(other)) == (one == other)
    assert (table_of(one).content_hash() == table_of(other).content_hash()) == (one == other)


def test_dtypes() -> None:
    for table in (QTable.empty(), QTable.from_columns([1], [2], [3], [4])):
        dtypes = [str(c.dtype) for c in (table.state_hash, table.action, table.value, table.visits)]
        assert dtypes == ["uint64", "uint8", "float64", "int64"]


def test_golden_content_hash(small: QTable) -> None:
    assert small.content_hash().hex() == "ad0bae338ec44de0110702b52c80324ee5d752caa6a67695269e772b8922ec53"
    empty = QTable.empty()
    assert empty.content_hash().hex() == "da30fe956815cf4ccdcf6031d708e808c7f1fc558b0cb7a58827668e5e18fc5d"


def test_zero_has_one_sign() -> None:
    minus, plus = QTable.from_columns([1], [1], [-0.0], [1]), QTable.from_columns([1], [1], [0.0], [1])
    assert minus == plus
    assert minus.content_hash() == plus.content_hash()


def test_columns_are_read_only_and_copied(small: QTable) -> None:
    for column in (small.state_hash, small.action, small.value, small.visits, small.states):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    mine = np.array([1.0])
    table = QTable.from_columns([1], [1], mine, [1])
    mine[0] = 5.0
    assert table.get(1, 1) == (1.0, 1)


@pytest.mark.parametrize("duplicate", [lambda t: t.copy(), copy.copy, copy.deepcopy])
def test_copies_are_independent(small: QTable, duplicate: Callable[[QTable], QTable]) -> None:
    twin = duplicate(small)
    assert twin == small
    twin.update(7, 0, -1.0, 9)
    assert small.get(7, 0) == (1.5, 3)


def test_unhashable_and_unequal_to_others(small: QTable) -> None:
    with pytest.raises(TypeError):
        hash(small)
    assert small != [1]


def test_repr(small: QTable) -> None:
    assert repr(small) == "QTable(4 cells, 3 states, 8 visits, values -2 to 9)"
    assert repr(QTable.empty()) == "QTable(empty)"


# -- reading ----------------------------------------------------------------------------------------------


@given(rows_of_tables, st.lists(cells, max_size=8))
def test_lookup(rows: Rows, wanted: list[tuple[int, int]]) -> None:
    wanted += list(rows)[:3]
    table = table_of(rows)
    positions, found = table.lookup([state for state, _ in wanted], [action for _, action in wanted])
    for cell, position, is_there in zip(wanted, positions.tolist(), found.tolist(), strict=True):
        assert position == sum(other < cell for other in rows)
        assert is_there == (cell in rows) == (cell in table)
        assert table.get(*cell) == rows.get(cell)


def test_best_action(small: QTable) -> None:
    assert small.best_action(5) == 0
    assert small.best_action(5, n_actions=3) == 0
    assert small.best_action(5, n_actions=3, initial=1.0) == 1
    assert small.best_action(7, n_actions=2, initial=1.5) == 0
    assert small.best_action(1234, n_actions=2) == 0
    assert QTable.from_columns([1, 1], [4, 2], [3.0, 3.0], [1, 1]).best_action(1) == 2
    with pytest.raises(TableError, match="pass n_actions"):
        small.best_action(1234)
    with pytest.raises(TableError, match="action 2"):
        small.best_action(5, n_actions=2)


@given(tables, st.floats(-5, 5))
def test_matrix(table: QTable, initial: float) -> None:
    states, matrix = table.matrix(256, initial)
    assert matrix.shape == (len(states), 256)
    assert states.tolist() == table.states.tolist()
    expected = np.full(matrix.shape, initial)
    for row in table:
        expected[states.tolist().index(row.state_hash), row.action] = row.value
    assert np.array_equal(matrix, expected)


def test_matrix_needs_room_for_every_action(small: QTable) -> None:
    with pytest.raises(TableError, match="action 2, n_actions is only 2"):
        small.matrix(2)


# -- changing ---------------------------------------------------------------------------------------------


@given(rows_of_tables, rows_of_tables)
def test_bulk_update_is_a_dict_update(before: Rows, news: Rows) -> None:
    table = table_of(before)
    table.update(*columns(news))
    assert table == table_of(before | news)
    assert table.content_hash() == table_of(before | news).content_hash()


BAD = [
    ({"value": np.nan}, "row 1: value nan"),
    ({"value": np.inf}, "row 1: value inf"),
    ({"value": -(2.0**20) - 1}, r"row 1: value -1048577\.0"),
    ({"value": "x"}, "real numbers"),
    ({"action": 256}, "row 1: action 256"),
    ({"action": -1}, "row 1: action -1"),
    ({"visits": -1}, "row 1: visits -1"),
    ({"visits": 2**32}, "row 1: visits 4294967296"),
    ({"visits": 1.5}, "visits must hold integers"),
    ({"state_hash": -1}, "row 1: state_hash -1"),
    ({"state_hash": 2**64}, "row 1: state_hash 18446744073709551616"),
    ({"state_hash": "s"}, "state_hash must hold integers"),
    ({"state_hash": 5, "action": 0}, "rows 0 and 1 are the same cell"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_bad_rows_are_named_and_change_nothing(small: QTable, bad: dict[str, Any], message: str) -> None:
    before = small.copy()
    row = {"state_hash": 9, "action": 1, "value": 1.0, "visits": 1} | bad
    with pytest.raises(TableError, match=message):
        small.update([5, row["state_hash"]], [0, row["action"]], [7.0, row["value"]], [7, row["visits"]])
    assert small == before


def test_float_columns_of_integers_and_wrong_shapes_are_refused(small: QTable) -> None:
    before = small.copy()
    with pytest.raises(TableError, match="not float64"):
        small.update(np.array([1.0]), [1], [1.0], [1])
    with pytest.raises(TableError, match="differ in length: state_hash 2, action 1"):
        small.update([1, 2], [1], [1.0], [1])
    with pytest.raises(TableError, match="one column"):
        small.update([1], [1], [[1.0]], [1])
    with pytest.raises(TableError, match="one column"):
        small.update(np.array([[1]]), [1], [1.0], [1])
    with pytest.raises(TableError):
        small.update(1, 2, np.nan, 3)
    assert small == before


def test_limits_are_allowed() -> None:
    table = QTable.from_columns([0, U64], [0, 255], [2.0**20, -(2.0**20)], [0, 2**32 - 1])
    assert table.get(U64, 255) == (-(2.0**20), 2**32 - 1)


# -- dict of arrays ---------------------------------------------------------------------------------------

observations = st.integers(-5, 5) | st.tuples(st.integers(0, 3), st.booleans())
matrices = st.integers(1, 4).flatmap(
    lambda n: st.dictionaries(
        observations,
        st.tuples(*[st.lists(e, min_size=n, max_size=n) for e in (values, visit_counts)]),
        max_size=5,
    )
)


@given(matrices)
def test_dict_round_trip(rows: dict[Any, tuple[list[float], list[int]]]) -> None:
    q: dict[Any, Any] = defaultdict(lambda: np.zeros(1))
    q.update({obs: np.array(of_actions) for obs, (of_actions, _) in rows.items()})
    counts = {obs: np.array(of_actions) for obs, (_, of_actions) in rows.items()}
    n_actions = len(next(iter(q.values()))) if q else 1
    table = QTable.from_dict(q, visits=counts)
    decode = {hash_observation(obs): obs for obs in q}
    assert len(table) == len(q) * n_actions
    assert_same_dict(table.to_dict(n_actions, decode=decode), q)
    assert_same_dict(table.to_dict(n_actions, decode=decode, column="visits"), counts)
    by_hash = table.to_dict(n_actions)
    assert QTable.from_dict(by_hash, visits=table.to_dict(n_actions, column="visits"), encode=int) == table


def assert_same_dict(one: dict[Any, Any], other: dict[Any, Any]) -> None:
    assert one.keys() == other.keys()
    assert all(one[key].tolist() == other[key].tolist() for key in one)


def test_dict_fills_missing_cells(small: QTable) -> None:
    assert small.to_dict(3, initial=-1.0)[5].tolist() == [0.25, -1.0, -2.0]
    assert QTable.from_dict({(1, 2): [3.0]}).get(hash_observation((1, 2)), 0) == (3.0, 1)


def test_bad_dicts_are_refused(small: QTable) -> None:
    with pytest.raises(TableError, match=r"observation \(1, 2\), action 1: value nan"):
        QTable.from_dict({0: [1, 2], (1, 2): [3, np.nan]})
    with pytest.raises(TableError, match="as many in each row"):
        QTable.from_dict({0: [1, 2], 1: [3]})
    with pytest.raises(TableError, match="observation 1 has values but no visits"):
        QTable.from_dict({0: [1], 1: [3]}, visits={0: [1]})
    with pytest.raises(TableError, match="visits are of shape"):
        QTable.from_dict({0: [1]}, visits={0: [1, 1]})
    with pytest.raises(TableError, match="up to 256 actions"):
        QTable.from_dict({0: np.zeros(257)})
    with pytest.raises(EncodingError):
        QTable.from_dict({0.5: [1.0]})
    with pytest.raises(TableError, match="decode has no observation for state_hash 7"):
        small.to_dict(3, decode={5: "five"})


# -- dense ------------------------------------------------------------------------------------------------


@given(st.integers(0, 6), st.integers(1, 4), st.data())
def test_dense_round_trip(n_states: int, n_actions: int, data: st.DataObject) -> None:
    size = n_states * n_actions
    dense = np.reshape(data.draw(st.lists(values, min_size=size, max_size=size)), (n_states, n_actions))
    counts = np.array(data.draw(st.lists(visit_counts, min_size=size, max_size=size)), np.int64)
    table = QTable.from_dense(dense, counts.reshape(dense.shape))
    assert np.array_equal(table.to_dense(n_states, n_actions), dense)
    assert np.array_equal(table.to_dense(n_states, n_actions, column="visits"), counts.reshape(dense.shape))


def test_dense_rows_without_cells_and_states_without_rows() -> None:
    table = QTable.from_dense([[1.0, 2.0]], encode=lambda row: row + 100)
    encode = {0: 99, 1: 100}.__getitem__
    assert table.to_dense(2, 3, initial=-1.0, encode=encode).tolist() == [
        [-1.0, -1.0, -1.0],
        [1.0, 2.0, -1.0],
    ]
    with pytest.raises(TableError, match=r"1 states, such as 100, are none of rows 0\.\.4"):
        table.to_dense(5, 2)


def test_bad_dense_arrays_are_refused() -> None:
    with pytest.raises(TableError, match="observation 1, action 0: value inf"):
        QTable.from_dense([[1.0], [np.inf]])
    with pytest.raises(TableError, match="not of shape"):
        QTable.from_dense([1.0, 2.0])
    with pytest.raises(TableError, match="visits are of shape"):
        QTable.from_dense([[1.0, 2.0]], [[1]])


# -- Arrow and Parquet ------------------------------------------------------------------------------------


@given(tables)
def test_arrow_round_trip(table: QTable) -> None:
    arrow = table.to_arrow()
    assert QTable.from_arrow(arrow) == table
    assert [str(t) for t in arrow.schema.types] == ["uint64", "uint8", "double", "int64"]


def test_parquet_round_trip(small: QTable, tmp_path: Path) -> None:
    small.to_parquet(tmp_path / "q.parquet")
    assert QTable.from_parquet(tmp_path / "q.parquet") == small


def test_bad_arrow_tables_are_refused(small: QTable) -> None:
    arrow = small.to_arrow()
    with pytest.raises(TableError, match="no column 'visits'"):
        QTable.from_arrow(arrow.drop_columns(["visits"]))
    nulls = arrow.set_column(2, "value", [[1.0, None, 2.0, 3.0]])
    with pytest.raises(TableError, match="'value' holds 1 nulls"):
        QTable.from_arrow(nulls)


def test_missing_pyarrow_names_the_extra(small: QTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"qorum\[arrow\]"):
        small.to_arrow()


# -- records ----------------------------------------------------------------------------------------------


@given(tables, st.randoms())
def test_updates_round_trip_at_32_bits(table: QTable, random: Any) -> None:
    updates = table.to_updates("agent-07", 1_000)
    random.shuffle(updates)
    back = QTable.from_updates(updates + updates[:2])
    rounded = table.value.astype(np.float32)
    assert back == QTable.from_columns(table.state_hash, table.action, rounded, table.visits)
    assert QTable.from_updates(back.to_updates("agent-07", 2_000)) == back


def test_the_newest_record_of_a_cell_counts() -> None:
    updates = [
        QUpdate("a", 1, 1, q, visits, t) for q, visits, t in [(1, 9, 1), (2, 3, 5), (3, 4, 5), (4, 9, 4)]
    ]
    assert list(QTable.from_updates(updates)) == list(QTable.from_updates(updates[::-1])) == [(1, 1, 3.0, 4)]


def test_peers_are_not_merged_silently() -> None:
    apart = [QUpdate("a", 1, 1, 1.0, 1, 1), QUpdate("b", 1, 2, 1.0, 1, 1)]
    assert len(QTable.from_updates(apart)) == 2
    with pytest.raises(TableError, match="merge_qtables"):
        QTable.from_updates([*apart, QUpdate("b", 1, 1, 2.0, 1, 9)])


@pytest.mark.parametrize(
    "bad",
    [
        {"state_hash": 2**64},
        {"action": 256},
        {"visits": -1},
        {"timestamp": -1},
        {"q_value": float("nan")},
        {"q_value": 2.0**21},
    ],
)
def test_bad_updates_are_refused(bad: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "peer_id": "a",
        "state_hash": 1,
        "action": 1,
        "q_value": 0.1,
        "visits": 1,
        "timestamp": 1,
    }
    assert QUpdate(**good).q_value == np.float32(0.1)
    with pytest.raises(TableError, match=next(iter(bad))):
        QUpdate(**(good | bad))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(good | bad, QUpdate)


def test_update_survives_msgpack() -> None:
    update = QUpdate("a", np.uint64(U64), np.uint8(3), 0.1, np.int64(5), 2)  # type: ignore[arg-type]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(update), type=QUpdate) == update
