"""Tables go to files and come back whole, and a file that holds none is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.errors import TableError
from qorum.exchange import read_table, write_table
from qorum.qtable import QTable

FORMATS = ["parquet", "npz", "json"]
cells = st.tuples(st.sampled_from([0, 2**53 + 1, 2**64 - 1]) | st.integers(0, 2**64 - 1), st.integers(0, 255))
rows = st.dictionaries(cells, st.tuples(st.floats(-(2.0**20), 2.0**20), st.integers(0, 2**32 - 1)), max_size=8)


def table_of(known: dict[tuple[int, int], tuple[float, int]]) -> QTable:
    return QTable.from_columns(
        [state for state, _ in known], [action for _, action in known],
        [value for value, _ in known.values()], [visits for _, visits in known.values()],
    )  # fmt: skip


TABLE = table_of({(2**64 - 1, 0): (0.1, 3), (5, 2): (-7.25, 2**32 - 1)})


@pytest.mark.parametrize("format", FORMATS)
@given(rows)
def test_every_table_comes_back_bit_for_bit(format: str, known: dict[tuple[int, int], tuple[float, int]]) -> None:
    table = table_of(known)
    with tempfile.TemporaryDirectory() as folder:
        write_table(table, Path(folder) / f"table.{format}")
        again = read_table(Path(folder) / f"table.{format}")
    assert again.content_hash() == table.content_hash()


@pytest.mark.parametrize("format", FORMATS)
def test_the_format_can_be_said_where_the_name_does_not_say_it(tmp_path: Path, format: str) -> None:
    write_table(TABLE, tmp_path / "table", format)
    assert read_table(tmp_path / "table", format) == TABLE
    assert [file.name for file in tmp_path.iterdir()] == ["table"]


def test_json_is_for_languages_without_64_bit_integers(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == {
        "state_hash": ["5", "18446744073709551615"], "action": [2, 0], "value": [-7.25, 0.1],
        "visits": [2**32 - 1, 3],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["table.csv", "table", "table."])
def test_an_unknown_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="is no format of tables; use parquet, npz, json"):
        write_table(TABLE, tmp_path / name)
    with pytest.raises(TableError, match="is no format of tables"):
        read_table(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04", b"PAR1PAR1", b"{}", b"[1]"])
def test_a_file_that_holds_no_table_is_refused(tmp_path: Path, format: str, data: bytes) -> None:
    path = tmp_path / f"t.{format}"
    path.write_bytes(data)
    with pytest.raises(TableError, match=r"t\.\w+ does not hold a Q-table"):
        read_table(path)


def test_values_that_a_table_cannot_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"state_hash": ["-1"], "action": [0], "value": [1], "visits": [1]}')
    np.savez(tmp_path / "t.npz", state_hash=[1, 1], action=[0, 0], value=[1.0, 2.0], visits=[1, 1])
    np.savez(tmp_path / "lacking.npz", state_hash=[1], action=[0], value=[1.0])
    np.savez(tmp_path / "object.npz", state_hash=np.array([{}]), action=[0], value=[1.0], visits=[1])
    wrong = {"t.json": "state_hash -1", "t.npz": "the same cell", "lacking.npz": "no column 'visits'"}
    for name, why in (wrong | {"object.npz": "pickle"}).items():
        with pytest.raises(TableError, match=why):
            read_table(tmp_path / name)


def test_a_file_that_cannot_be_written_or_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"cannot write .*nowhere"):
        write_table(TABLE, tmp_path / "nowhere" / "t.npz")
    with pytest.raises(TableError, match=r"there is no file .*t\.npz"):
        read_table(tmp_path / "t.npz")


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"t.{format}"
    write_table(TABLE, path)
    write_table(QTable(), path)
    assert read_table(path) == QTable()
