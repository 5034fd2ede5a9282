"""A federation agrees on the same bits in CPython and in WebAssembly, whose integers are 32 bits wide unless told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from qorum.lab.browser.assets import built
from qorum.lab.browser.consoles import console
from tests.js.cases import hashes, state_of
from tests.js.engines import needs

ANSWER_S = 540.0
"""Seconds that an engine has for all cases."""
RUN = """
const base = %(base)s, cases = %(cases)s, inNode = %(in_node)s;
const { loadPyodide } = await import(base + "pyodide/pyodide.mjs");
const pyodide = await loadPyodide({ indexURL: base + "pyodide/" });
await pyodide.loadPackage("numpy", { messageCallback() {} });
const bytes = inNode
  ? async (path) => new Uint8Array(await (await import("node:fs/promises")).readFile(path)).buffer
  : async (path) => (await fetch(path)).arrayBuffer();
for (const name of ["msgspec.zip", "qorum.zip"]) pyodide.unpackArchive(await bytes(base + name), "zip");
pyodide.FS.writeFile("cases.py", cases);
return pyodide.runPython("from cases import hashes; hashes(%(first)d, %(count)d)").toJs();
"""


def hashes_in(engine: str, count: int, folder: Path) -> list[str]:
    """`cases.hashes` in node or in Chromium."""
    needs("npm", engine)
    in_node = engine == "node"
    given = {
        "base": json.dumps(f"{built()}/" if in_node else "/browser/"),
        "cases": json.dumps(Path(__file__).with_name("cases.py").read_text("utf-8")),
        "in_node": json.dumps(in_node),
        "first": 0,
        "count": count,
    }

    async def play() -> list[str]:
        async with console(engine, folder) as at:
            return list(await at.run(RUN % given, ANSWER_S))

    return asyncio.run(play())


@pytest.mark.parametrize("count", [150, pytest.param(1_000, marks=pytest.mark.long)])
def test_node_comes_to_the_same_states(count: int, tmp_path: Path) -> None:
    assert hashes_in("node", count, tmp_path) == hashes(0, count)


@pytest.mark.parametrize("count", [50, pytest.param(1_000, marks=pytest.mark.long)])
def test_chromium_comes_to_the_same_states(count: int, tmp_path: Path) -> None:
    assert hashes_in("chromium", count, tmp_path) == hashes(0, count)


def test_the_cases_meet_all_that_a_merge_decides() -> None:
    states = [state_of(seed) for seed in range(200)]
    assert sum(state.masks.any() for state in states) > 20
    assert sum(state.stakes.any() for state in states) > 20
    assert sum(state.excluded.any() for state in states) > 10
    assert sum(state.outliers.any() for state in states) > 2
