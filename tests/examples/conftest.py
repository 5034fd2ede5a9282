"""Runs an example as a reader of its first lines would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run() -> Run:
    """run(name, *options): what the example did."""

    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=100)

    return run


@pytest.fixture(scope="module")
def results(run: Run, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The figures of a quick run of the example that the test file names in EXAMPLE, by method."""
    done = run(request.module.EXAMPLE, "--quick", "--json")
    assert done.returncode == 0, done.stderr
    return {row["method"]: row for row in json.loads(done.stdout)["results"]}


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the examples importable."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
