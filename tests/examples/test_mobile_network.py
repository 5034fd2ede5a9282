"""What the mobile-env example claims, and the ways of mobile-env that it rests on."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

pytest.importorskip("mobile_env", reason="the extra qorum[mobile] is not installed")

EXAMPLE = "mobile_network"


@pytest.fixture
def example(on_path: None) -> Any:
    return import_module(EXAMPLE)


def test_the_fleet_comes_close_to_the_good_rule(results: dict[str, dict[str, Any]]) -> None:
    assert list(results) == ["best signal", "load-aware", "alone", "fleet"]
    assert abs(results["load-aware"]["fleet_gains"]) < 0.05  # random choices lose 0.4
    assert results["alone"]["fleet_gains"] > 0


def test_the_seed_of_the_configuration_makes_the_network_and_that_of_reset_does_not(example: Any) -> None:
    first, _ = example.make_env(1).reset(seed=1)
    assert example.make_env(1).reset(seed=2)[0] == first
    assert example.make_env(2).reset(seed=1)[0] != first


def test_a_handover_joins_the_new_station_and_then_leaves_the_old_one(example: Any) -> None:
    served = [(3.0, 0, False, 2), (2.0, 0, True, 0), (0.0, 0, False, 1)]
    assert example.toggle(served, 0) == 3
    assert example.toggle([(3.0, 0, True, 2), *served[1:]], 0) == 1
    assert example.toggle([(3.0, 0, True, 2), (2.0, 0, False, 0), served[2]], 0) == 0
