"""`qorum inspect`, `export`, `import` and `backup`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qorum.cli import app, main
from qorum.exchange import read_table
from qorum.store import Store
from tests.store.recorded import ROUNDS, recording, write


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a node that was stopped."""
    with Store.open(tmp_path / "data", recording().genesis) as store:
        for step in recording().steps:
            write(store, step, wait=False)
    return tmp_path / "data"


def test_inspect_prints_tables_or_one_json_document(data: Path) -> None:
    found = json.loads(call("inspect", data, "--json", "--commits", 2).stdout)
    assert (found["newest"]["round"], len(found["commits"])) == (ROUNDS, 2)
    printed = call("inspect", data, "--cells", 3)
    assert printed.exit_code == 0
    for words in (f"round {ROUNDS}, epoch 1", "every page sound", "most visited cells", "members of this node", "join"):
        assert words in printed.stdout


def test_a_table_goes_out_and_comes_in(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.npz"
    told = json.loads(call("export", data, file, "--json").stdout)
    assert told["cells"] == len(read_table(file))
    assert call("import", data, file).stdout == f"{told['cells']} cells read from {file}\n"
    assert call("export", data, tmp_path / "table", "--format", "json").exit_code == 0
    assert read_table(tmp_path / "table", "json") == read_table(file)


def test_backup_makes_a_file_to_look_at(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    told = json.loads(call("backup", data, copy, "--json").stdout)
    assert told == {"backup": str(copy), "bytes": copy.stat().st_size}
    assert json.loads(call("inspect", copy, "--json").stdout)["backup"] is True
    assert call("inspect", copy).stdout.startswith("backup ")


def test_an_error_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["qorum", "inspect", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "there is no store at" in captured.err
