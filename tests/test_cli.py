"""The command as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import qorum
from qorum.cli import app
from qorum.errors import QorumError
from qorum.lab.simulation import FIGURES


def call(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qorum.cli", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_version() -> None:
    assert call("--version").stdout.strip() == qorum.__version__


def test_help_lists_the_commands_without_importing_numpy_or_gymnasium() -> None:
    code = (
        "import sys\nfrom qorum.cli import app\nfrom typer.testing import CliRunner\n"
        "print(CliRunner().invoke(app, ['--help']).output)\n"
        "assert not {'numpy', 'gymnasium', 'matplotlib', 'aiohttp'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_demo_writes_a_page_and_prints_one_json_document(tmp_path: Path) -> None:
    arguments = ("--members", "4", "--steps", "60", "--task", "CliffWalking-v1", "--out", "page.html", "--json")
    done = call("demo", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["members"], result["liars"], result["steps_per_agent"]) == (4, 1, 60)
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_demo_prints_a_table_of_the_acts(tmp_path: Path) -> None:
    done = call("demo", "--members", "4", "--steps", "40", "--task", "CliffWalking-v1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for act in ("isolated", "naive", "qorum", "sign flip", "extreme high", "partition"):
        assert act in done.stdout
    assert (tmp_path / "qorum-demo.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--members", "2"), "members is 2"),
        (("--liars", "60"), "liars is 60"),
        (("--task", "Chess"), "unknown task 'Chess'"),
        (("--out", "no/such/folder/page.html"), "cannot write the report"),
    ],
)
def test_bad_input_ends_with_one_line_on_standard_error(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = call("demo", *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("qorum: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_bench_merge_prints_json() -> None:
    merge = json.loads(call("bench", "merge", "--members", "8", "--cells", "50", "--repeats", "2", "--json").stdout)
    assert merge["members"] == 8


@pytest.mark.parametrize(("paper", "ours"), [("woo", "qorum replay"), ("maity", "qorum")])
def test_a_paper_beside_qorum_as_a_table_and_a_page(paper: str, ours: str, tmp_path: Path) -> None:
    done = call("bench", paper, "--quick", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ours in done.stdout
    assert (tmp_path / f"qorum-{paper}.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("paper", ["woo", "maity"])
def test_a_report_that_cannot_be_written_is_refused_at_once(paper: str, tmp_path: Path) -> None:
    done = call("bench", paper, "--report", str(tmp_path / "none" / "page.html"))
    assert done.returncode == 1
    assert "cannot write the report" in done.stderr


def test_bench_learning_prints_json_and_leaves_a_report(tmp_path: Path) -> None:
    small = ("--task", "GARNET(5,2,2)", "--agents", "4", "--steps", "20", "--seeds", "1", "--quick")
    methods = ("--method", "replay", "--method", "visit_weighted")
    done = call("bench", "learning", *small, *methods, "--folder", str(tmp_path), "--json")
    rows = json.loads(done.stdout)["rows"]
    assert [(row["method"], row["agents"], row["steps_per_agent"]) for row in rows] == [
        ("replay", 4, 20), ("visit_weighted", 4, 20)
    ]  # fmt: skip
    assert "GARNET(5,2,2)" in (tmp_path / "report.html").read_text()


def test_bench_learning_prints_a_table(tmp_path: Path) -> None:
    small = ("--task", "GARNET(5,2,2)", "--agents", "4", "--steps", "20", "--seeds", "1", "--quick")
    done = call("bench", "learning", *small, "--method", "pooled", "--folder", str(tmp_path))
    assert "pooled" in done.stdout
    assert str(tmp_path / "report.html") in done.stdout


def test_bench_learning_refuses_unknown_methods(tmp_path: Path) -> None:
    done = call("bench", "learning", "--method", "mean", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert "known methods" in done.stderr


ARENA = ("arena", "--quick", "--task", "GARNET(5,2,2)", "--members", "4", "--steps", "20", "--seeds", "1",
         "--attack", "sign_flip", "--rule", "qorum", "--rule", "median", "--fraction", ".3333")  # fmt: skip


def test_arena_prints_json_and_leaves_a_report_and_a_picture(tmp_path: Path) -> None:
    result = json.loads(call(*ARENA, "--ablation", "--folder", str(tmp_path), "--json").stdout)
    assert [(row["rule"], row["attack"], row["members"], row["liars"], row["seeds"]) for row in result["rows"]] == [
        ("qorum", "sign_flip", 4, 1, 1), ("median", "sign_flip", 4, 1, 1)
    ]  # fmt: skip
    assert {part["part"] for part in result["ablation"]} > {"gate", "all"}
    assert result["report"] == str(tmp_path / "report.html")
    assert "GARNET(5,2,2)" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "arena.png").exists()


def test_arena_prints_a_table(tmp_path: Path) -> None:
    done = call(*ARENA, "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "sign flip" in done.stdout
    assert str(tmp_path / "report.html") in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rule", "mean"), "unknown rule 'mean'"),
        (("--attack", "shout"), "unknown attack 'shout'"),
        (("--members", "3"), "4 or more members"),
        (("--fraction", "0.5"), "allowed are 0 to 0.49"),
        (("--task", "Chess"), "known tasks"),
    ],
)
def test_arena_says_what_is_wrong(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = call("arena", "--quick", *arguments, "--folder", str(tmp_path))
    assert done.returncode == 1
    assert message in done.stderr


def test_simulate_prints_one_document_and_replay_repeats_it(tmp_path: Path) -> None:
    arguments = ("--members", "4", "--rounds", "1", "--loss", "0.05", "--record", "run.json", "--plot", "run.svg")
    done = call("simulate", *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["members"], result["forks"], result["violations"]) == (4, 0, [])
    assert set(FIGURES) <= set(result)
    assert "<svg" in (tmp_path / "run.svg").read_text()
    file = tmp_path / "run.json"
    again = CliRunner().invoke(app, ["replay", str(file), "--json"])
    assert again.exit_code == 0
    assert json.loads(again.stdout)["event_hash"] == result["event_hash"]
    file.write_text(file.read_text().replace(result["event_hash"], "0" * 64))
    other = CliRunner().invoke(app, ["replay", str(file)])
    assert other.exit_code == 1
    assert "NOT the same" in other.stdout


def test_simulate_hunts_a_mutant_and_prints_what_caught_it() -> None:
    done = CliRunner().invoke(app, ["simulate", "--mutant", "quorum-f-plus-1", "--campaign", "30"])
    assert done.exit_code == 0
    assert "opening: all contribute" in done.stdout
    assert "violated: " in done.stdout


def test_a_mutant_that_is_not_caught_and_a_campaign_that_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    monkeypatch.setattr("qorum.sim.mutants.hunt.hunt", lambda name, seconds, seed: None)
    missed = runner.invoke(app, ["simulate", "--mutant", "skip-at-f", "--json"])
    assert missed.exit_code == 1
    assert json.loads(missed.stdout)["caught"] is False
    found = {"violations": [{"arena": "stage", "seed": 7, "name": "agreement", "text": "fork", "time": 1.0}]}
    monkeypatch.setattr("qorum.lab.simulation.campaigns", lambda *given, **named: (found, None))
    failed = runner.invoke(app, ["simulate", "--campaign", "1"])
    assert failed.exit_code == 1
    assert "stage seed 7: agreement: fork" in failed.stdout


def test_simulate_lists_the_mutants() -> None:
    assert "quorum-f-plus-1" in json.loads(CliRunner().invoke(app, ["simulate", "--list-mutants", "--json"]).stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("simulate", "--mutant", "none"), "unknown mutant 'none'; there are: "),
        (("simulate", "--members", "4", "--liars", "4"), "liars is 4; allowed: 0 to 3"),
        (("simulate", "--delay", "80-20"), "delay is 80-20 ms"),
        (("simulate", "--delay", "soon"), "give LOW-HIGH in milliseconds"),
        (("simulate", "--behaviour", "twin"), "give --liars too"),
        (("simulate", "--campaign", "5", "--plot", "p.png"), "--plot draws a round of a measured run"),
        (("simulate", "--plot", "p.pdf"), "must end in .png or .svg"),
        (("simulate", "--record", "no/such/run.json"), "cannot write the recording"),
        (("simulate", "--campaign", "0"), "campaign is 0 s"),
        (("simulate", "--members", "2", "--adversary", "stage"), "members is 2"),
        (("replay", "no-such-file.json"), "cannot read no-such-file.json"),
    ],
)
def test_simulate_and_replay_say_what_is_wrong(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, QorumError)
    assert message in str(done.exception)
    assert done.stdout == ""
