"""The TypeScript is formatted, and the examples compile and run as they stand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from qorum.lab.browser.assets import built
from tests.js.engines import needs

JS = Path(__file__).parents[2] / "js"


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    needs("npm", "node")
    built()
    command = [JS / "node_modules" / ".bin" / name, *arguments]
    return subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=120)


def test_all_of_it_is_formatted() -> None:
    done = tool("prettier", "--check", "src", "examples/*.ts", "page", "*.json")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_the_founding_records_example_runs(tmp_path: Path) -> None:
    done = tool("tsc", "-p", "examples", "--pretty", "false")
    assert done.returncode == 0, done.stdout
    command = ["node", JS / "examples" / "out" / "federated.js"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    *rounds, values = ran.stdout.splitlines()
    assert len(rounds) == 8
    assert rounds[0].startswith("round 1, term 0: sent ")
    assert [float(value) for value in values.rpartition(": ")[2].split()] == sorted(
        float(value) for value in values.rpartition(": ")[2].split()
    )
