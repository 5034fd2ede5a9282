"""The table and the options that all examples share."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import pytest


def play(seed: int, quick: bool) -> dict[str, list[float]]:
    return {"alone": [seed, seed + 2.0], "fleet": [10.0 if quick else 3.0 * seed]}


@pytest.fixture
def run(on_path: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """run(*options): what an example with those options prints on standard output."""
    comparison = import_module("comparison")

    def run(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["example", *options])
        comparison.main("An example.", "points", play, seeds=2)
        return capsys.readouterr().out

    return run


def test_gains_are_paired_by_seed(run: Any) -> None:
    printed = json.loads(run("--json", "--seed", "4"))
    alone, fleet = printed["results"]
    assert (printed["what"], printed["seeds"]) == ("points", [4, 5])
    assert (alone["mean"], alone["worst"], alone["seeds"]) == (5.5, 4.0, 2)
    assert (alone["fleet_gains"], alone["standard_error"]) == pytest.approx((8.0, 1.0))
    assert (fleet["mean"], fleet["spread"], fleet["fleet_gains"]) == (13.5, 1.5, 0.0)


def test_one_seed_has_no_standard_error(run: Any) -> None:
    assert run("--quick").splitlines() == [
        "points",
        "method              mean   spread    worst   the fleet gains   seeds",
        "alone              2.000    1.000    1.000   8.000                 1",
        "fleet             10.000    0.000   10.000                         1",
    ]


def test_no_seed_at_all_is_refused(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--seeds", "0")
    assert "at least 1 is needed" in capsys.readouterr().err
