"""The command as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import qorum


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
        "assert 'gymnasium' not in sys.modules and 'matplotlib' not in sys.modules"
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


def test_bench_merge_and_learning_print_json() -> None:
    merge = json.loads(call("bench", "merge", "--members", "8", "--cells", "50", "--repeats", "2", "--json").stdout)
    assert merge["members"] == 8
    learning = call("bench", "learning", "--members", "4", "--steps", "20", "--task", "CliffWalking-v1", "--json")
    assert json.loads(learning.stdout)["members"] == 4
