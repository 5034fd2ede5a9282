"""Pictures of a round: they can be drawn for every run that agreed on one."""

from __future__ import annotations

from pathlib import Path

import pytest

from qorum.errors import ConfigError
from qorum.lab.spacetime import check_format, save_picture
from qorum.sim.experiment import Experiment, Measured

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def measured() -> Measured:
    run = Measured(Experiment(members=5, liars=1, rounds=2), traced=True)
    run.run()
    return run


def test_a_small_run_has_lanes_and_curves_and_always_the_same(measured: Measured, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        save_picture(measured, tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    for words in ("Round 2 of 5 members, 1 of them lying", "liar 4", "leader ", "locks", "committed", "quorum"):
        assert f">{words}" in text
    assert (tmp_path / "two.svg").read_text() == text


def test_a_run_without_a_trace_has_curves_alone(tmp_path: Path) -> None:
    measured = Measured(Experiment(members=20, rounds=1), traced=True)
    measured.run()
    assert measured.trace is None
    save_picture(measured, tmp_path / "round.svg")
    text = (tmp_path / "round.svg").read_text()
    assert ">second votes" in text
    assert "locks" not in text


def test_png_and_an_earlier_round(measured: Measured, tmp_path: Path) -> None:
    save_picture(measured, tmp_path / "round.PNG", 1)
    assert (tmp_path / "round.PNG").read_bytes().startswith(b"\x89PNG")


def test_no_round_no_picture(measured: Measured, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no round was agreed on"):
        save_picture(measured, tmp_path / "round.svg", 99)


def test_other_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must end in \.png or \.svg"):
        check_format(Path("round.pdf"))
