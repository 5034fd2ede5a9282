"""Q-tables in files: Parquet, NumPy and JSON, told apart by the name.

JSON holds one object of four columns; a state_hash is a string of digits there, because JavaScript cannot hold it as a
number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np

from qorum.errors import TableError
from qorum.qtable import QTable

COLUMNS = ("state_hash", "action", "value", "visits")


class _Json(msgspec.Struct, forbid_unknown_fields=True):
    state_hash: list[str]
    action: list[int]
    value: list[float]
    visits: list[int]


def write_table(table: QTable, path: str | Path, format: str | None = None) -> None:
    """Write a table to a file, all of it or nothing, in place of what was there. The format is as the name ends.

    Raises:
        TableError: the format is none of parquet, npz and json, or the file cannot be written.
        MissingExtra: Parquet needs pyarrow.
    """
    path = Path(path)
    write = _WRITERS[_format(path, format)]
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".qorum-") as folder:
            partial = Path(folder) / "table"
            write(table, partial)
            partial.replace(path)
    except OSError as error:
        raise TableError(f"cannot write {path}: {error.strerror}; name a file in a folder that allows it") from None


def read_table(path: str | Path, format: str | None = None) -> QTable:
    """Read a table that `write_table` wrote, or another program in the same form: four columns of equal length.

    Raises:
        TableError: the format is none of parquet, npz and json, or the file does not hold a table.
        MissingExtra: Parquet needs pyarrow.
    """
    path = Path(path)
    read = _READERS[_format(path, format)]
    try:
        return read(path)
    except FileNotFoundError:
        raise TableError(f"there is no file {path}") from None
    except (OSError, ValueError, BadZipFile, EOFError, msgspec.DecodeError) as error:
        raise TableError(f"{path} does not hold a Q-table: {error}") from error


def _format(path: Path, format: str | None) -> str:
    name = format or path.suffix.removeprefix(".").lower()
    if name not in _READERS:
        raise TableError(f"{path}: {name or 'nothing'!r} is no format of tables; use {', '.join(_READERS)}")
    return name


def _columns(table: QTable) -> dict[str, Any]:
    return {name: getattr(table, name) for name in COLUMNS}


def _write_npz(table: QTable, path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **_columns(table))


def _read_npz(path: Path) -> QTable:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        missing = [name for name in COLUMNS if name not in getattr(file, "files", ())]
        if missing:
            raise TableError(f"no column {missing[0]!r}")
        return QTable.from_columns(*(file[name] for name in COLUMNS))


def _write_json(table: QTable, path: Path) -> None:
    columns = {name: column.tolist() for name, column in _columns(table).items()}
    columns["state_hash"] = list(map(str, columns["state_hash"]))
    path.write_bytes(msgspec.json.encode(columns))


def _read_json(path: Path) -> QTable:
    file = msgspec.json.decode(path.read_bytes(), type=_Json)
    return QTable.from_columns([int(hash) for hash in file.state_hash], file.action, file.value, file.visits)


_WRITERS: dict[str, Callable[[QTable, Path], None]] = {
    "parquet": QTable.to_parquet, "npz": _write_npz, "json": _write_json,
}  # fmt: skip
_READERS: dict[str, Callable[[Path], QTable]] = {
    "parquet": QTable.from_parquet, "npz": _read_npz, "json": _read_json,
}  # fmt: skip
