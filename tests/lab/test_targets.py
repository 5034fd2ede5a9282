"""The founding record's targets, for a small fleet."""

from __future__ import annotations

import pytest

from qorum.errors import ConfigError
from qorum.lab.targets import targets_bench


def test_every_target_is_measured_and_named_with_its_command() -> None:
    shares: list[float] = []
    result = targets_bench(16, progress=shares.append)
    rows = {row["metric"]: row for row in result["rows"]}
    assert set(rows) == {"sync latency", "gossip", "sent per sync", "received per sync", "merge", "malicious members"}
    assert all(set(row) == {"metric", "target", "measured", "met", "how"} for row in result["rows"])
    assert all(rows[name]["met"] for name in ("sync latency", "gossip", "sent per sync", "merge"))
    assert rows["malicious members"]["measured"].startswith("5 lie")
    assert shares == sorted(shares)


def test_a_fleet_too_small_to_tolerate_a_liar_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 liars"):
        targets_bench(3)
