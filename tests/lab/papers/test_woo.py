"""The two-state report: complete, the same for the same seed, and honest about who wins."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.papers import woo

SMALL = woo.Size(4, 1, 600, (20, 40), 2, (20, 100), 200)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(woo, "QUICK", SMALL)
        return woo.woo_bench(quick=True, seed=0)


def test_the_result_is_complete_and_fits_json(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result)) == result
    settings = result["settings"]
    assert (settings["agents"], settings["tau"], settings["steps"], settings["runs"]) == (20, 50, 600, 4)
    assert {row["line"] for row in result["curve"]} == set(woo.LOOKS)
    assert {row["agents"] for row in result["speedup"]} == {20, 40}
    assert {row["tau"] for row in result["tau"]} == {20, 100}
    for row in result["curve"]:
        assert 0 < row["lower_quartile"] <= row["median"] <= row["upper_quartile"] < 1
        assert (row["step_size"] is None) == row["line"].startswith("replay")
    steps = [row["steps"] for row in result["curve"] if row["line"] == "replay"]
    assert (steps[0], steps[-1]) == (50, 600)
    assert steps == sorted(steps)


def test_replay_is_below_the_best_average(result: dict[str, Any]) -> None:
    verdict = result["verdict"]
    ends = {row["line"]: row["median"] for row in result["curve"] if row["steps"] == 600}
    assert verdict["replay"] == ends["replay"]
    assert verdict["best_average_error"] == min(ends[rule] for rule in woo.AVERAGES) == ends[verdict["best_average"]]
    assert verdict["holds"]
    assert verdict["runs_won"] == verdict["runs"] == 4


def test_a_verdict_against_us_is_told_as_one() -> None:
    ends = {line: [0.3, 0.3] for line in woo.LOOKS} | {"visits": [0.1, 0.2], "replay": [0.1, 0.4]}
    errors = {line: np.array([[1.0, 1.0], end]) for line, end in ends.items()}
    verdict = woo._verdict(woo.Measured(woo.Setting(20, 50, 100, 2, 0), {}, errors))
    assert (verdict["holds"], verdict["best_average"], verdict["runs_won"]) == (False, "visits", 1)
    assert (verdict["replay"], verdict["best_average_error"]) == (0.25, pytest.approx(0.15))


def test_progress_ends_with_everything_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(woo, "QUICK", woo.Size(1, 1, 100, (20, 40), 1, (20,), 40))
    shares: list[float] = []
    first = woo.woo_bench(True, 7, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    again = woo.woo_bench(True, 7)
    assert first | {"wall_s": 0} == again | {"wall_s": 0}


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed is -1"):
        woo.woo_bench(True, -1)


def test_the_page_is_whole(result: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    html = woo.render(result)
    tree = ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))
    assert len(tree.findall(".//figure")) == 3
    for look in woo.LOOKS.values():
        assert look.name in html
    assert "qorum replay ends lowest" in html
    assert "e+0" not in "".join(tree.itertext())
    assert html == woo.render(result)
