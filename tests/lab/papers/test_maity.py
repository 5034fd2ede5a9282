"""The attacked problem's report: complete, the same for the same seed, and the published sizes."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from qorum.errors import ConfigError
from qorum.lab.papers import maity


class Short(maity.Size):
    """Few rounds."""

    @property
    def rounds(self) -> int:
        return 40


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maity, "QUICK", Short(40, 400, 1))
        return maity.maity_bench(quick=True, seed=0)


def end(result: dict[str, Any], rule: str, attack: str | None, fraction: float, measure: str = "error") -> float:
    rows = [row for row in result["rows"] if (row["rule"], row["attack"], row["fraction"]) == (rule, attack, fraction)]
    assert len(rows) == 1
    return float(rows[0][measure]["median"])


def test_the_sizes_are_the_published_ones() -> None:
    assert (maity.FULL.agents, maity.FULL.rounds, maity.FULL.draws) == (1000, 341, 73)
    assert maity.FULL.step == pytest.approx(0.0999, abs=1e-4)


def test_the_result_is_complete_and_fits_json(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result)) == result
    assert len(result["rows"]) == len(maity.SETTINGS) * len(maity.LOOKS)
    assert {row["liars"] for row in result["rows"]} == {0, 4, 13}
    assert result["settings"]["tolerated"] == 13
    for row in result["rows"]:
        assert 0 < row["error"]["lower_quartile"] <= row["error"]["median"] <= row["error"]["upper_quartile"]
    rounds = [row["round"] for row in result["traces"] if (row["rule"], row["attack"]) == ("replay", "bias")]
    assert (rounds[0], rounds[-1]) == (1, 40)


def test_lies_ruin_the_mean_and_not_the_merge(result: dict[str, Any]) -> None:
    assert end(result, "mean", "bias", 0.1, "residual") == pytest.approx(1000, rel=0.02)
    for setting in maity.SETTINGS:
        assert end(result, "replay", *setting) < 0.05
        if setting.attack in ("bias", "max"):
            assert end(result, "mean", *setting) > 0.1


def test_a_residual_bounds_the_error() -> None:
    rng = np.random.default_rng(0)
    problem = maity.Problem(rng)
    tables = problem.optimum + rng.normal(0, 1, (20, maity.CELLS))
    assert problem.error(problem.optimum) < 1e-12
    assert (problem.error(tables) * (1 - maity.GAMMA) <= problem.residual(tables)).all()
    assert (problem.residual(tables) <= problem.error(tables) * (1 + maity.GAMMA)).all()


def test_the_paper_step_is_one_backup_where_draws_are_exact() -> None:
    problem, size = maity.Problem(np.random.default_rng(1)), Short(40, 600, 1)
    served, replay = maity.Served(problem, size, np.random.default_rng(0)), maity.Replay(problem, size)
    exact = np.repeat(problem.successor * size.draws, size.agents, axis=0).T.copy()
    served.round(exact)
    replay.round(exact)
    np.testing.assert_allclose(served.tables[0], np.broadcast_to(size.step * problem.reward, (4, maity.CELLS)))
    np.testing.assert_allclose(replay.tables[0], problem.reward, atol=2.0**-20)


def test_equal_seeds_give_equal_figures_and_progress_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maity, "QUICK", Short(10, 20, 1))
    shares: list[float] = []
    first = maity.maity_bench(True, 3, shares.append)
    assert first | {"wall_s": 0} == maity.maity_bench(True, 3) | {"wall_s": 0}
    assert first["rows"] != maity.maity_bench(True, 4)["rows"]
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (40, 1.0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed is -1"):
        maity.maity_bench(True, -1)


def test_the_page_is_whole(result: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    html = maity.render(result)
    tree = ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))
    assert len(tree.findall(".//figure")) == len(maity.DRAWN)
    for look in maity.LOOKS.values():
        assert look.name in html
    assert "0.00140" in html
    assert "e+0" not in "".join(tree.itertext())
    assert html == maity.render(result)
