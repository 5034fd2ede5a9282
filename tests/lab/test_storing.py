"""The bench of the store measures what it says."""

from __future__ import annotations

from pathlib import Path

from qorum.lab.storing import store_bench


def test_many_members_share_each_sync(tmp_path: Path) -> None:
    result = store_bench(members=(1, 8), seconds=0.2, size=500, folder=tmp_path)
    assert list(result) == ["bytes", "seconds", "bare file", "1 at once", "8 at once"]
    bare, one, eight = result["bare file"], result["1 at once"], result["8 at once"]
    assert bare["writes_per_s"] == bare["syncs_per_s"] > 0
    assert one["writes_per_s"] <= one["syncs_per_s"] + 5
    assert eight["writes_per_s"] > eight["syncs_per_s"] > 0
    assert not list(tmp_path.iterdir())
