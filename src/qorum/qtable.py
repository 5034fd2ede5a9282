"""Q-tables as columns: one row per cell, sorted by (state_hash, action), with import and export."""

from __future__ import annotations

import hashlib
import importlib
import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from qorum.encoding import hash_observation
from qorum.errors import MissingExtra, TableError

MAX_VALUE = float(2**20)
"""Largest absolute Q-value: what the merge's fixed point can hold."""
MAX_ACTIONS = 256
MAX_VISITS = 2**32 - 1
_MAX_U64 = 2**64 - 1
_UPDATE_LIMITS = {
    "state_hash": _MAX_U64,
    "action": MAX_ACTIONS - 1,
    "visits": MAX_VISITS,
    "timestamp": _MAX_U64,
}
_COLUMNS = ("state_hash", "action", "value", "visits")

_RANGE = f"is not a finite number within -{MAX_VALUE:.0f}..{MAX_VALUE:.0f}"
_S = TypeVar("_S", bound=np.generic)
_I = TypeVar("_I", bound=np.integer[Any])

Integers = Sequence[int] | NDArray[Any]
Encode = Callable[[Any], int]


class Entry(NamedTuple):
    """One row of a table."""

    state_hash: int
    action: int
    value: float
    visits: int


class QUpdate(msgspec.Struct, frozen=True):
    """What one peer reports of one cell at one time; the value is rounded to 32-bit float here.

    Raises:
        TableError: a field is outside its range.
    """

    peer_id: str
    state_hash: int
    """0..2**64-1."""
    action: int
    """0..255."""
    q_value: float
    """Finite, at most 2**20 in absolute value; rounded to a 32-bit float."""
    visits: int
    """0..2**32-1."""
    timestamp: int
    """0..2**64-1, milliseconds; only compared with other timestamps of the same peer."""

    def __post_init__(self) -> None:
        for name, highest in _UPDATE_LIMITS.items():
            number = operator.index(getattr(self, name))
            if not 0 <= number <= highest:
                raise TableError(f"update of peer {self.peer_id!r}: {name} {number} is outside 0..{highest}")
            msgspec.structs.force_setattr(self, name, number)
        if not abs(self.q_value) <= MAX_VALUE:  # not >, which NaN would pass
            raise TableError(f"update of peer {self.peer_id!r}: q_value {self.q_value} {_RANGE}")
        msgspec.structs.force_setattr(self, "q_value", float(np.float32(self.q_value)))


class QTable:
    """A sparse Q-table: C cells, each a (state_hash, action) with a value and a visit count.

    Rows are unique and always sorted by (state_hash, action). Values are finite and at most 2**20 in
    absolute value, actions 0..255, visits 0..2**32-1; anything else raises `TableError` and leaves the table
    as it was. Two tables are equal when all their rows are; a table can change, so it is not hashable.
    """

    __slots__ = ("_action", "_key", "_state_hash", "_states", "_value", "_visits")

    def __init__(self) -> None:
        """An empty table; `from_columns`, `from_dict` and the others build filled ones."""
        self._set_columns(np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0), np.empty(0, np.int64))

    @classmethod
    def empty(cls) -> QTable:
        """A table without cells."""
        return cls()

    @classmethod
    def from_columns(
        cls, state_hash: Integers, action: Integers, value: ArrayLike, visits: Integers
    ) -> QTable:
        """Build a table from four columns of equal length C, rows in any order. The columns are copied.

        Args:
            state_hash: integers 0..2**64-1.
            action: integers 0..255.
            value: finite, at most 2**20 in absolute value.
            visits: integers 0..2**32-1.

        Raises:
            TableError: names the first row and value out of range, or two rows of the same cell.
        """
        states = _integers("state_hash", state_hash, np.uint64, _MAX_U64)
        actions = _integers("action", action, np.uint8, MAX_ACTIONS - 1)
        values = _values(value)
        counts = _integers("visits", visits, np.int64, MAX_VISITS)
        sizes = [states.size, actions.size, values.size, counts.size]
        if len(set(sizes)) > 1:
            named = ", ".join(f"{name} {size}" for name, size in zip(_COLUMNS, sizes, strict=True))
            raise TableError(f"columns differ in length: {named}")
        order = np.lexsort((actions, states))
        table = cls()
        table._set_columns(states[order], actions[order], values[order], counts[order])
        repeated = np.flatnonzero(table._key[1:] == table._key[:-1])
        if repeated.size:
            first, second = order[repeated[0]], order[repeated[0] + 1]  # in this order: the sort is stable
            cell = f"state_hash {states[first]}, action {actions[first]}"
            raise TableError(f"rows {first} and {second} are the same cell ({cell}); give every cell once")
        return table

    def _set_columns(
        self,
        state_hash: NDArray[np.uint64],
        action: NDArray[np.uint8],
        value: NDArray[np.float64],
        visits: NDArray[np.int64],
    ) -> None:
        first = np.ones(state_hash.size, bool)
        first[1:] = state_hash[1:] != state_hash[:-1]
        self._state_hash, self._action, self._value, self._visits = state_hash, action, value, visits
        self._states = state_hash[first]
        # (index of the state, action) as one sorted integer: makes a lookup of many cells one searchsorted.
        self._key = (np.cumsum(first, dtype=np.int64) - 1) * MAX_ACTIONS + action

    # -- columns ------------------------------------------------------------------------------------------

    @property
    def state_hash(self) -> NDArray[np.uint64]:
        """u64[C], sorted. Like all columns a read-only view; use `copy` to keep it over an update."""
        return _read_only(self._state_hash)

    @property
    def action(self) -> NDArray[np.uint8]:
        """u8[C], sorted within a state."""
        return _read_only(self._action)

    @property
    def value(self) -> NDArray[np.float64]:
        """f64[C], in reward units."""
        return _read_only(self._value)

    @property
    def visits(self) -> NDArray[np.int64]:
        """i64[C], 0..2**32-1."""
        return _read_only(self._visits)

    @property
    def states(self) -> NDArray[np.uint64]:
        """u64[S], the distinct state hashes, sorted."""
        return _read_only(self._states)

    # -- reading ------------------------------------------------------------------------------------------

    def lookup(self, state_hash: Integers, action: Integers) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Find m cells at once: (positions i64[m], found bool[m]).

        The position of a cell that is not found is the row before which it belongs, and so may be C.

        Raises:
            TableError: a state_hash or action is out of range.
        """
        wanted = _integers("state_hash", state_hash, np.uint64, _MAX_U64)
        actions = _integers("action", action, np.uint8, MAX_ACTIONS - 1)
        state, known = _search(self._states, wanted)
        position, found = _search(self._key, state * MAX_ACTIONS + np.where(known, actions, 0))
        return position, found & known

    def get(self, state_hash: int, action: int) -> tuple[float, int] | None:
        """(value, visits) of one cell, or None. Raises `TableError` for an impossible cell."""
        position, found = self.lookup([state_hash], [action])
        row = position[0]
        return (float(self._value[row]), int(self._visits[row])) if found[0] else None

    def best_action(self, state_hash: int, n_actions: int | None = None, initial: float = 0.0) -> int:
        """The action of highest value in one state; the lowest of several that tie.

        With `n_actions` every action 0..n_actions-1 is considered, one without a cell at value `initial`;
        otherwise only actions the table has a cell for.

        Raises:
            TableError: no `n_actions` and no cell of that state, or a cell with an action past `n_actions`.
        """
        wanted = _integers("state_hash", [state_hash], np.uint64, _MAX_U64)[0]
        start = np.searchsorted(self._state_hash, wanted)
        stop = np.searchsorted(self._state_hash, wanted, "right")
        actions, values = self._action[start:stop], self._value[start:stop]
        if n_actions is None:
            if not actions.size:
                raise TableError(f"no cell of state_hash {state_hash}; pass n_actions to choose among all")
            return int(actions[values.argmax()])
        _check_actions(actions, n_actions)
        row = np.full(n_actions, initial)
        row[actions] = values
        return int(row.argmax())

    def matrix(self, n_actions: int, initial: float = 0.0) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """All values as a new array: (states u64[S], values f64[S, n_actions]), `initial` where no cell is.

        Raises:
            TableError: a cell has an action past `n_actions`.
        """
        return self.states, self._spread(self._value, n_actions, initial)

    def visit_matrix(self, n_actions: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """All visits as a new array, like `matrix`; 0 where no cell is."""
        return self.states, self._spread(self._visits, n_actions, 0)

    def _spread(self, column: NDArray[Any], n_actions: int, initial: float) -> NDArray[Any]:
        _check_actions(self._action, n_actions)
        rows = np.full((self._states.size, n_actions), initial, column.dtype)
        rows[self._key // MAX_ACTIONS, self._action] = column
        return rows

    def __len__(self) -> int:
        """The number of cells."""
        return self._value.size

    def __contains__(self, cell: tuple[int, int]) -> bool:
        """Whether (state_hash, action) has a row."""
        return self.get(*cell) is not None

    def __iter__(self) -> Iterator[Entry]:
        """All rows, sorted by (state_hash, action)."""
        columns = (self._state_hash, self._action, self._value, self._visits)
        return map(Entry._make, zip(*(column.tolist() for column in columns), strict=True))

    def __eq__(self, other: object) -> bool:
        """Same cells, values and visits."""
        if not isinstance(other, QTable):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _COLUMNS)

    def __repr__(self) -> str:
        if not len(self):
            return "QTable(empty)"
        low, high = self._value.min(), self._value.max()
        return (
            f"QTable({len(self)} cells, {self._states.size} states, {self._visits.sum()} visits, "
            f"values {low:.4g} to {high:.4g})"
        )

    def content_hash(self) -> bytes:
        """SHA-256 (32 bytes) of the columns, little-endian: equal tables, and only they, hash alike."""
        digest = hashlib.sha256(b"qorum QTable 1\n" + len(self).to_bytes(8, "little"))
        for column in (self._state_hash, self._action, self._value, self._visits):
            digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.digest()

    # -- changing -----------------------------------------------------------------------------------------

    def copy(self) -> QTable:
        """An independent copy."""
        twin = QTable()
        twin._set_columns(
            self._state_hash.copy(), self._action.copy(), self._value.copy(), self._visits.copy()
        )
        return twin

    __copy__ = copy

    def update(
        self,
        state_hash: int | Integers,
        action: int | Integers,
        value: float | ArrayLike,
        visits: int | Integers,
    ) -> None:
        """Set value and visits of one cell (four scalars) or m cells (four columns); new cells are added.

        All or nothing: on any error the table is unchanged.

        Raises:
            TableError: as `from_columns`.
        """
        columns: list[Any] = [state_hash, action, value, visits]
        if all(isinstance(column, (int, float, np.number)) for column in columns):
            columns = [[column] for column in columns]
        news = QTable.from_columns(*columns)
        position, found = self.lookup(news._state_hash, news._action)
        self._value[position[found]] = news._value[found]
        self._visits[position[found]] = news._visits[found]
        if not found.all():
            self._insert(position[~found], news, ~found)

    def _insert(self, position: NDArray[np.int64], news: QTable, fresh: NDArray[np.bool_]) -> None:
        self._set_columns(
            np.insert(self._state_hash, position, news._state_hash[fresh]),
            np.insert(self._action, position, news._action[fresh]),
            np.insert(self._value, position, news._value[fresh]),
            np.insert(self._visits, position, news._visits[fresh]),
        )

    # -- a dict of arrays, as Gymnasium tutorials hold it -------------------------------------------------

    @classmethod
    def from_dict(
        cls,
        table: Mapping[Any, ArrayLike],
        *,
        visits: Mapping[Any, ArrayLike] | int = 1,
        encode: Encode = hash_observation,
    ) -> QTable:
        """Build a table from observation -> values of the n_actions actions.

        Args:
            table: S observations, each with n_actions values.
            visits: counts in the same shape, or one count for every cell. What a merge weighs the values by.
            encode: observation -> state_hash, the one your agents use.

        Raises:
            TableError: names the observation, action and value that a table cannot hold.
            EncodingError: an observation cannot be encoded.
        """
        observations = list(table)
        counts: Any = visits
        if isinstance(visits, Mapping):
            missing = [o for o in observations if o not in visits]
            if missing:
                raise TableError(f"observation {missing[0]!r} has values but no visits")
            counts = [visits[o] for o in observations]
        return _from_rows(observations, list(table.values()), counts, encode)

    def to_dict(
        self,
        n_actions: int,
        initial: float = 0.0,
        *,
        decode: Mapping[int, Hashable] | None = None,
        column: Literal["value", "visits"] = "value",
    ) -> dict[Hashable, NDArray[Any]]:
        """Observation -> array[n_actions] of values, or of visits; `initial` where no cell is.

        Args:
            decode: state_hash -> observation. A hash cannot be reversed: without it the keys are the hashes.

        Raises:
            TableError: `decode` lacks a state, or a cell has an action past `n_actions`.
        """
        rows = self._spread(getattr(self, f"_{column}"), n_actions, initial)
        keys: list[Hashable] = self._states.tolist()
        if decode is not None:
            missing = [key for key in keys if key not in decode]
            if missing:
                raise TableError(f"decode has no observation for state_hash {missing[0]}")
            keys = [decode[key] for key in self._states.tolist()]
        return dict(zip(keys, rows, strict=True))

    # -- a dense NumPy array ------------------------------------------------------------------------------

    @classmethod
    def from_dense(
        cls, values: ArrayLike, visits: ArrayLike = 1, *, encode: Encode = hash_observation
    ) -> QTable:
        """Build a table from values f64[n_states, n_actions]; row i is the observation i.

        `visits` is an integer array of the same shape, or one count for every cell; `encode` maps a row index
        to its state_hash.

        Raises:
            TableError: names the row, action and value that a table cannot hold.
        """
        return _from_rows(range(len(np.atleast_1d(values))), values, visits, encode)

    def to_dense(
        self,
        n_states: int,
        n_actions: int,
        initial: float = 0.0,
        *,
        encode: Encode = hash_observation,
        column: Literal["value", "visits"] = "value",
    ) -> NDArray[Any]:
        """Values f64, or visits i64, as array[n_states, n_actions]; `initial` where no cell is.

        Raises:
            TableError: a state of the table is none of the encoded rows 0..n_states-1, so would be lost.
        """
        rows = self._spread(getattr(self, f"_{column}"), n_actions, initial)
        position, found = _search(self._states, np.array([encode(i) for i in range(n_states)], np.uint64))
        lost = np.setdiff1d(np.arange(self._states.size), position[found])
        if lost.size:
            state = self._states[lost[0]]
            rows_are = f"rows 0..{n_states - 1}; were they encoded alike?"
            raise TableError(f"{lost.size} states, such as {state}, are none of {rows_are}")
        dense = np.full((n_states, n_actions), initial, rows.dtype)
        dense[found] = rows[position[found]]
        return dense

    # -- Arrow and Parquet --------------------------------------------------------------------------------

    def to_arrow(self) -> Any:
        """A `pyarrow.Table` with columns state_hash u64, action u8, value f64, visits i64.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        return _pyarrow("pyarrow").table({name: getattr(self, f"_{name}") for name in _COLUMNS})

    @classmethod
    def from_arrow(cls, table: Any) -> QTable:
        """Build a table from a `pyarrow.Table` or `RecordBatch` with those columns; others are ignored.

        Raises:
            TableError: a column is missing or holds nulls, or as `from_columns`.
        """
        for name in _COLUMNS:
            if name not in table.schema.names:
                raise TableError(f"no column {name!r}; there are {', '.join(table.schema.names)}")
            if table.column(name).null_count:
                raise TableError(f"column {name!r} holds {table.column(name).null_count} nulls")
        return cls.from_columns(*(np.asarray(table.column(name)) for name in _COLUMNS))

    def to_parquet(self, path: Any) -> None:
        """Write the table to a Parquet file, as `to_arrow` shows it.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        _pyarrow("pyarrow.parquet").write_table(self.to_arrow(), path)

    @classmethod
    def from_parquet(cls, path: Any) -> QTable:
        """Read a table from a Parquet file.

        Raises:
            MissingExtra: pyarrow is not installed.
            TableError: as `from_arrow`.
        """
        return cls.from_arrow(_pyarrow("pyarrow.parquet").read_table(path))

    # -- records ------------------------------------------------------------------------------------------

    def to_updates(self, peer_id: str, timestamp: int) -> list[QUpdate]:
        """One `QUpdate` per cell, in table order, values rounded to 32-bit float."""
        return [QUpdate(peer_id, *entry, timestamp) for entry in self]

    @classmethod
    def from_updates(cls, updates: Iterable[QUpdate]) -> QTable:
        """Build a table from records of one peer per cell, in any order, repeated or not.

        The newest record of a cell counts; of several at one time, the one with more visits.

        Raises:
            TableError: two peers report one cell.
        """
        newest: dict[tuple[int, int], QUpdate] = {}
        for update in updates:
            known = newest.setdefault((update.state_hash, update.action), update)
            if known.peer_id != update.peer_id:
                raise TableError(
                    f"peers {known.peer_id!r} and {update.peer_id!r} both report state_hash "
                    f"{update.state_hash}, action {update.action}; build a table of each peer's records and "
                    "merge them with qorum.merge_qtables"
                )
            if _age(update) > _age(known):
                newest[update.state_hash, update.action] = update
        return cls.from_columns(
            [update.state_hash for update in newest.values()],
            [update.action for update in newest.values()],
            [update.q_value for update in newest.values()],
            [update.visits for update in newest.values()],
        )


def _age(update: QUpdate) -> tuple[int, int, float]:
    return update.timestamp, update.visits, update.q_value


def _integers(name: str, values: Integers, dtype: type[_I], highest: int) -> NDArray[_I]:
    """A column of whole numbers 0..highest, or `TableError` naming the first row that is not one."""
    if not isinstance(values, np.ndarray):
        try:
            # By way of object: NumPy would make floats of a list that holds both small and large u64.
            values = np.array([operator.index(value) for value in values], object)
        except TypeError as error:
            raise TableError(f"{name} must hold integers: {error}") from None
    elif values.dtype.kind not in "iu":
        raise TableError(f"{name} must hold integers, not {values.dtype}")
    if values.ndim != 1:
        raise TableError(f"{name} must be one column, not an array of shape {values.shape}")
    bad = np.flatnonzero((values < 0) | (values > highest))
    if bad.size:
        raise TableError(f"row {bad[0]}: {name} {values[bad[0]]} is outside 0..{highest}")
    return values.astype(dtype)


def _values(values: ArrayLike) -> NDArray[np.float64]:
    """A new column of values in range, without negative zeros, or `TableError` naming the first bad row."""
    column = _floats(values)
    if column.ndim != 1:
        raise TableError(f"value must be one column, not an array of shape {column.shape}")
    bad = _out_of_range(column)
    if bad.size:
        raise TableError(f"row {bad[0, 0]}: value {column[bad[0, 0]]} {_RANGE}")
    return column + 0.0  # -0.0 becomes 0.0: equal values must have equal bytes


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"values must be real numbers, as many in each row: {error}") from None


def _out_of_range(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argwhere(~(np.abs(values) <= MAX_VALUE))  # not >, which NaN would pass


def _from_rows(observations: Sequence[Any], values: Any, visits: ArrayLike, encode: Encode) -> QTable:
    """One row of values[S, n_actions] per observation; visits in the same shape or one count for all."""
    if not observations:
        return QTable()
    matrix = _floats(values)
    if matrix.ndim != 2 or matrix.shape[1] > MAX_ACTIONS:
        raise TableError(f"values must be [states, up to {MAX_ACTIONS} actions], not of shape {matrix.shape}")
    bad = _out_of_range(matrix)
    if bad.size:
        row, action = bad[0]
        cell = f"observation {observations[row]!r}, action {action}"
        raise TableError(f"{cell}: value {matrix[row, action]} {_RANGE}")
    counts = np.asarray(visits)
    if counts.ndim and counts.shape != matrix.shape:
        raise TableError(f"visits are of shape {counts.shape}, values of {matrix.shape}")
    n_states, n_actions = matrix.shape
    states = np.array([encode(observation) for observation in observations], np.uint64)
    return QTable.from_columns(
        np.repeat(states, n_actions),
        np.tile(np.arange(n_actions), n_states),
        matrix.ravel(),
        np.broadcast_to(counts, matrix.shape).ravel(),
    )


def _check_actions(actions: NDArray[np.uint8], n_actions: int) -> None:
    if actions.size and actions.max() >= n_actions:
        raise TableError(f"the table has a cell of action {actions.max()}, n_actions is only {n_actions}")


def _search(column: NDArray[_S], wanted: NDArray[_S]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each wanted item is, or would be, in a sorted column, and whether it is there."""
    position = np.searchsorted(column, wanted)
    found = np.zeros(wanted.size, bool)
    inside = position < column.size
    found[inside] = column[position[inside]] == wanted[inside]
    return position, found


def _read_only(column: NDArray[_S]) -> NDArray[_S]:
    view = column.view()
    view.flags.writeable = False
    return view


def _pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra("pyarrow", "arrow", "reading and writing Arrow and Parquet") from None
