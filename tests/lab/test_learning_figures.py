"""The figures of the learning bench: ticks that can be read, names that are all there."""

from pathlib import Path
from typing import Any

import pytest

from qorum.lab.figures import NARROW, WIDE, style
from qorum.lab.learning_figures import (
    curves_figure,
    log_ticks,
    merges_figure,
    populations,
    save_picture,
    scaling_figure,
    thresholds_figure,
)
from qorum.lab.learning_study import Study
from tests.lab.learning_results import learning_result

pytest.importorskip("matplotlib")

STUDY = Study(learning_result())
FIGURES = {"curves": curves_figure, "scaling": scaling_figure, "merges": merges_figure}


def _texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 1000, [1, 10, 100, 1000]),
        (4, 340, [10, 30, 100, 300]),
        (0.1, 0.6, [0.1, 0.2, 0.5]),
        (0.0031, 1.2, [0.01, 0.1, 1]),
    ],
)
def test_log_axes_have_few_and_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("agents", "written"),
    [([1, 8, 64, 256, 593], [1, 8, 64, 593]), ([8, 1024, 593, 8], [8, 1024]), ([64], [64]), ([], [])],
)
def test_populations_are_written_where_there_is_room(agents: list[int], written: list[int]) -> None:
    assert populations(agents) == written


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("name", list(FIGURES))
def test_a_panel_for_each_task_inside_the_page(name: str, wide: bool) -> None:
    with style():
        figure = FIGURES[name](STUDY, wide)
        figure.draw_without_rendering()
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == STUDY.tasks
    assert figure.bbox.width == pytest.approx(WIDE if wide else NARROW)
    ends = [text.get_window_extent().x1 for axes in figure.axes for text in axes.texts]
    assert max(ends) <= figure.bbox.width + 1


@pytest.mark.parametrize("name", ["curves", "scaling"])
def test_every_line_is_named_at_its_end_with_its_figure(name: str) -> None:
    with style():
        texts = _texts(FIGURES[name](STUDY, True))
    assert len(texts) == 8 + 9
    for method in STUDY.methods:
        assert any(text.endswith(method.name) for text in texts)
    assert ("0.50 qorum replay" if name == "scaling" else "1.00 qorum replay") in texts


def test_merges_are_written_beside_their_marks_with_the_horizon() -> None:
    with style():
        texts = _texts(merges_figure(STUDY, False))
    assert f"{STUDY.merges_to_99('Lake', 'replay')} replay" in texts
    assert "never equal" in texts
    assert "20 horizon" in texts
    assert "10 horizon" in texts
    assert not any("FedQ" in text or "alone" in text for text in texts)


def test_every_threshold_is_written_at_its_dot() -> None:
    with style():
        texts = _texts(thresholds_figure(STUDY, True))
    for one in STUDY.result["thresholds"]:
        assert f"{one['threshold']:.1g}" in texts


def test_a_single_point_is_enough() -> None:
    row = {**STUDY.result["rows"][0], "curve": [[10, 0.5, 0.4, 0.6, 0.1]], "method": "replay"}
    scaling = [{"task": "Lake", "method": "replay", "exponent": None, "ci": None, "points": [[8, 0.1], [64, 0.0]]}]
    study = Study({**STUDY.result, "rows": [row], "scaling": scaling})
    with style():
        assert "1.00 qorum replay" not in _texts(curves_figure(study, True))
        merges_figure(study, True)
    assert study.scaled == []


def test_the_picture_has_room_for_fewer_tasks(tmp_path: Path) -> None:
    rows = [row for row in STUDY.result["rows"] if row["task"] == "Lake"]
    save_picture(Study({**STUDY.result, "rows": rows, "scaling": []}), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert ">593 agents learn as one</text>" in text
    assert text.count(">Lake</text>") == 1
