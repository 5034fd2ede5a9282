"""What the CartPole example claims."""

from __future__ import annotations

from subprocess import CompletedProcess
from typing import Any

import pytest

pytest.importorskip("gymnasium", reason="the extra qorum[gym] is not installed")

EXAMPLE = "cartpole"


def test_the_fleet_balances_the_pole_where_agents_alone_let_it_fall(results: dict[str, dict[str, Any]]) -> None:
    assert list(results) == ["alone", "fleet", "one, all steps"]
    assert results["fleet"]["worst"] > 400
    assert results["fleet"]["mean"] > results["alone"]["mean"] + 100


def test_a_seed_gives_the_same_figures_again(run: Any, results: dict[str, dict[str, Any]]) -> None:
    again: CompletedProcess[str] = run(EXAMPLE, "--quick")
    assert f"{results['alone']['mean']:9.3f}" in again.stdout
    assert "seed 1, 1 of 1" in again.stderr
