"""Campaigns, hunts, recordings and pictures: what `qorum simulate` and `qorum replay` stand on."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from qorum.errors import ConfigError, QorumError
from qorum.lab import simulation
from qorum.lab.recording import CampaignRun, MeasuredRun, Recording, StagedRun, load, save
from qorum.lab.simulation import Arena
from qorum.sim.campaign import run_seed
from qorum.sim.experiment import Experiment, Measured


@pytest.fixture(scope="module")
def measured() -> Measured:
    run = Measured(Experiment(members=4, rounds=1), traced=True)
    run.run()
    return run


def test_a_campaign_counts_its_seeds_and_finds_nothing() -> None:
    seen: list[tuple[str, float]] = []
    figures, failed = simulation.campaigns(
        0.4, sizes=(4,), processes=1, progress=lambda name, share: seen.append((name, share))
    )
    assert (figures["forks"], figures["violations"], failed) == (0, [], None)
    assert figures["seeds_run"] == sum(figures["seeds_run_by_arena"].values()) >= 2
    assert {name for name, _ in seen} == {"random", "stage"}
    assert all(0 <= share <= 1 for _, share in seen)


@pytest.mark.long
def test_a_campaign_in_two_processes() -> None:
    figures, failed = simulation.campaigns(4.0, sizes=(4, 5), processes=2)
    assert (figures["violations"], failed) == ([], None)
    assert figures["seeds_run"] >= 4


def test_a_run_in_lock_step_tells_its_story() -> None:
    figures, run = simulation.staged(0, 4)
    assert isinstance(run, StagedRun)
    assert figures["violations"] == []
    assert figures["story"].startswith("opening: all contribute")
    assert simulation.rerun(run)["story"] == figures["story"]


def test_a_mutant_is_caught_and_what_caught_it_is_made_smaller(tmp_path: Path) -> None:
    figures, run = simulation.hunt("quorum-f-plus-1", 30.0)
    assert isinstance(run, StagedRun)
    assert figures["caught"]
    assert figures["steps"]["left"] < figures["steps"]["found"]
    save(run, tmp_path / "run.json")
    again = simulation.replay(load(tmp_path / "run.json"))
    assert again["same"]
    assert again["violations"] == figures["violations"] != []
    assert again["story"] == figures["story"]


def test_every_mutant_has_a_rule_and_an_unknown_one_is_told_the_names() -> None:
    assert len(simulation.mutants()) >= 10
    with pytest.raises(ConfigError, match=r"unknown mutant 'none'; there are: .*quorum-f-plus-1"):
        simulation.hunt("none", 1.0)


def test_a_failing_campaign_run_shrinks_to_the_faults_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a run fails as long as its script holds one certain fault."""
    outcome = run_seed(3, (4,))
    culprit = outcome.script[len(outcome.script) // 2]
    run = CampaignRun(outcome.setup, 3, outcome.script, "")

    def fake(run: CampaignRun) -> dict[str, object]:
        return {"violations": [{"name": "agreement"}] if culprit in run.script else [], "event_hash": "new"}

    monkeypatch.setattr(simulation, "rerun", fake)
    smaller = simulation.shrink(run, "agreement")
    assert isinstance(smaller, CampaignRun)
    assert (smaller.script, smaller.event_hash) == ((culprit,), "new")


def test_a_measured_run_replays_to_the_same_hash(measured: Measured, tmp_path: Path) -> None:
    save(simulation.recorded(measured), tmp_path / "run.json")
    known = load(tmp_path / "run.json")
    again = simulation.replay(known)
    assert again["same"]
    assert again["figures"]["rounds_committed"] >= 1
    changed = Recording(msgspec.structs.replace(known.run, event_hash="0" * 64))
    assert not simulation.replay(changed)["same"]


def test_a_run_of_a_campaign_replays(tmp_path: Path) -> None:
    ran = simulation.run_random(1, (4,))
    save(ran.run, tmp_path / "run.json")
    assert simulation.replay(load(tmp_path / "run.json"))["same"]
    assert ran.arena is Arena.RANDOM


def test_what_is_saved_is_what_is_loaded(measured: Measured, tmp_path: Path) -> None:
    for run in (simulation.recorded(measured), simulation.staged(1, 4)[1]):
        save(run, tmp_path / "run.json")
        assert load(tmp_path / "run.json") == Recording(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("{", "is not a recording"),
        ("[]", "is not a recording"),
        ('{"version": 1}', "not written by qorum simulate --record"),
    ],
)
def test_a_file_that_is_no_recording(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(QorumError, match=message):
        load(file)


def test_a_recording_of_another_version_or_damaged(measured: Measured, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    save(simulation.recorded(measured), file)
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "version": 2, "release": "9.0"}))
    with pytest.raises(QorumError, match=r"is of version 2, made by qorum 9\.0; this release reads version 1"):
        load(file)
    del told["run"]["experiment"]
    file.write_text(json.dumps(told))
    with pytest.raises(QorumError, match=r"is damaged: .*experiment"):
        load(file)


def test_a_recording_of_settings_out_of_range_is_damaged(measured: Measured, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    save(simulation.recorded(measured), file)
    told = json.loads(file.read_text())
    told["run"]["experiment"]["members"] = 1
    file.write_text(json.dumps(told))
    with pytest.raises(QorumError, match="is damaged: members is 1"):
        load(file)


def test_a_file_that_cannot_be_written(measured: Measured, tmp_path: Path) -> None:
    with pytest.raises(QorumError, match="cannot write"):
        save(simulation.recorded(measured), tmp_path / "no" / "run.json")


def test_a_measured_run_is_not_shrunk(measured: Measured) -> None:
    run = simulation.recorded(measured)
    assert isinstance(run, MeasuredRun)
    assert simulation.shrink(run, "agreement") is run
