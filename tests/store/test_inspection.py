"""What `inspect` tells of a store, and tables on their way out of it and into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qorum.core.effects import Committed
from qorum.errors import StoreError, TableError
from qorum.exchange import read_table, write_table
from qorum.qtable import QTable
from qorum.store import Store
from qorum.store.inspection import export_table, import_table, inspect
from tests.store.recorded import ROUNDS, recording, write


def running(path: Path) -> Store:
    """A store with all there is, that is still open."""
    store = Store.open(path, recording().genesis)
    for step in recording().steps:
        write(store, step, wait=False)
    store.experience(recording().members[0], b"seen").result(timeout=20)
    return store


def last_of(key: bytes) -> Committed:
    return [effect for effect in recording().of(key) if isinstance(effect, Committed)][-1]


def test_inspect_tells_what_a_running_node_has_kept(tmp_path: Path) -> None:
    agreed = last_of(recording().members[0])
    with running(tmp_path):
        found = inspect(tmp_path, commits=3, cells=2)
    assert json.loads(json.dumps(found)) == found
    assert found["federation"] == recording().genesis.federation.hex()
    assert (found["founders"], found["backup"]) == (4, False)
    newest = found["newest"]
    assert (newest["round"], newest["epoch"], newest["members"], newest["quorum"]) == (ROUNDS, 1, 5, 4)
    assert (newest["cells"], newest["hash"]) == (len(agreed.state.cells), agreed.state.hash.hex())
    assert newest["bytes"] == len(agreed.state.to_bytes())
    assert [cell["visits"] for cell in newest["top"]] == sorted(agreed.state.table.visits.tolist())[::-1][:2]


def test_inspect_tells_where_each_member_is(tmp_path: Path) -> None:
    with running(tmp_path):
        members = inspect(tmp_path)["members"]
    assert sorted(member["member"] for member in members) == list(range(5))
    assert all((member["round"], member["record"]["round"]) == (ROUNDS, ROUNDS + 1) for member in members)
    founder = next(member for member in members if member["key"] == recording().members[0].hex())
    assert (founder["epochs"], founder["experience_bytes"]) == (1, 4)


def test_inspect_lists_the_newest_commits_with_who_signed_them(tmp_path: Path) -> None:
    agreed = last_of(recording().members[0])
    with running(tmp_path):
        commits = inspect(tmp_path, commits=3)["commits"]
        every = inspect(tmp_path, commits=100)["commits"]
    assert [commit["round"] for commit in commits] == [ROUNDS, ROUNDS - 1, ROUNDS - 2]
    assert commits[0]["value"] == agreed.commit.certificate.value.hex()
    assert (commits[0]["items"], commits[0]["cells"]) == (len(agreed.entries), len(agreed.state.cells))
    assert all(len(set(commit["signers"])) == commit["signatures"] >= 3 for commit in every)
    assert [commit["change"] for commit in every].count("join") == 1


def test_a_store_before_the_first_round(tmp_path: Path) -> None:
    with Store.open(tmp_path, recording().genesis):
        found = inspect(tmp_path)
    assert (found["newest"], found["members"], found["commits"]) == (None, [], [])
    assert len(export_table(tmp_path, tmp_path / "t.npz")) == 0


def test_inspect_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        inspect(tmp_path / "none")


@pytest.mark.parametrize("format", ["parquet", "npz", "json"])
def test_an_exported_table_is_the_agreed_one_and_can_be_imported(tmp_path: Path, format: str) -> None:
    file = tmp_path / f"table.{format}"
    agreed = last_of(recording().members[0]).state.table
    with running(tmp_path):
        assert export_table(tmp_path, file) == agreed
        with pytest.raises(StoreError, match="uses this store; stop it"):
            import_table(tmp_path, file)
    assert read_table(file) == agreed
    assert import_table(tmp_path, file) == agreed
    with Store.open(tmp_path, recording().genesis) as store:
        assert store.starting_table() == agreed


def test_a_file_without_a_table_changes_nothing(tmp_path: Path) -> None:
    table = QTable.from_columns([1], [0], [0.5], [3])
    running(tmp_path).close()
    write_table(table, tmp_path / "t.json")
    import_table(tmp_path, tmp_path / "t.json")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(TableError, match="does not hold a Q-table"):
        import_table(tmp_path, tmp_path / "t.json")
    with Store.open(tmp_path, recording().genesis) as store:
        assert store.starting_table() == table
