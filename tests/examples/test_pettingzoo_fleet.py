"""What the PettingZoo example claims."""

from __future__ import annotations

from typing import Any

import pytest

for library in ("pettingzoo", "pygame", "scipy"):
    pytest.importorskip(library, reason="the extra qorum[pettingzoo] is not installed")

EXAMPLE = "pettingzoo_fleet"


def test_the_fleet_catches_more_than_pursuers_that_learn_alone(results: dict[str, dict[str, Any]]) -> None:
    assert list(results) == ["chase", "alone", "fleet", "one table"]
    assert results["fleet"]["mean"] > results["alone"]["mean"]
