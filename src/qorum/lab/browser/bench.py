"""What an agent in WebAssembly costs: sizes of the package, times to load and to sync, steps a second, memory."""

from __future__ import annotations

import asyncio
import gzip
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from qorum.errors import ConfigError
from qorum.lab.bench import machine
from qorum.lab.browser.assets import built
from qorum.lab.browser.consoles import LOAD, Chromium, Console, NodeConsole, served

STATES, ACTIONS = 1_000, 4
"""Of the table that is synced: 4,000 cells, all of them learned anew before each sync."""
CONFIG = "{ n_actions: 4, seed: 1, sync_interval_ms: 1000, max_items_per_round: 64 }"
START = f"""
const began = performance.now();
globalThis.agent = qorum.createFederatedQTable({CONFIG});
await agent.ready;
const ready = performance.now() - began;
await agent.learn(0, 0, 1, 1, false);
await qorum.federatedSync(agent);
return [ready, performance.now() - began];
"""
LEARN = f"""
const began = performance.now(), all = [];
for (let state = 0; state < {STATES}; state++) {{
  for (let action = 0; action < {ACTIONS}; action++) {{
    all.push(agent.learn(state, action, (7 * state + 3 * action + %d) %% 5, (state + 1) %% {STATES}, false));
  }}
}}
await Promise.all(all);
return 1000 * {STATES * ACTIONS} / (performance.now() - began);
"""
SYNC = """
const began = performance.now();
const { agreed } = await qorum.federatedSync(agent);
return [performance.now() - began, agreed];
"""
LIMIT_S = 300.0

Progress = Callable[[float], None]


def browser_bench(starts: int = 5, syncs: int = 20, progress: Progress = lambda share: None) -> dict[str, Any]:
    """Load the package `starts` times in node and in Chromium, each time in a new process or profile, then once more.

    In the last one sync a table of 4,000 cells `syncs` times, in a federation of four members that all live in that
    process: what it takes is the work of all of them. An engine that is not installed is left out and named.
    """
    folder = built()
    engines: dict[str, Any] = {}
    for number, engine in enumerate(("node", "chromium")):
        try:
            engines[engine] = asyncio.run(_measured(engine, starts, syncs))
        except ConfigError as error:
            engines[engine] = {"left_out": str(error)}
        progress((number + 1) / 2)
    return {"package": _sizes(folder), "cells": STATES * ACTIONS, "engines": engines, "machine": machine()}


async def _measured(engine: str, starts: int, syncs: int) -> dict[str, Any]:
    cold, warm = [], []
    for start in range(starts):
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            at = await _console(engine, folder, stack)
            cold.append(await at.run(START, LIMIT_S))
            await at.run("await agent.close()")
            warm.append(await at.run(START, LIMIT_S))
            if start + 1 == starts:
                rates, times = await _synced(at, syncs)
                memory = await at.run("return agent.memory()")
            await at.run("await agent.close()")
    return {
        "cold_ready_ms": _spread([ready for ready, _ in cold]),
        "cold_first_sync_ms": _spread([synced for _, synced in cold]),
        "warm_ready_ms": _spread([ready for ready, _ in warm]),
        "warm_first_sync_ms": _spread([synced for _, synced in warm]),
        "sync_ms": _spread(times),
        "steps_per_second": _spread(rates),
        "wasm_memory_mb": round(memory / 1e6, 1),
    }


async def _console(engine: str, folder: Path, stack: AsyncExitStack) -> Console:
    if engine == "node":
        return await stack.enter_async_context(NodeConsole(folder))
    address = await stack.enter_async_context(served(built()))
    tab = await (await stack.enter_async_context(Chromium())).tab(address)
    await tab.run(LOAD)
    return tab


async def _synced(at: Console, syncs: int) -> tuple[list[float], list[float]]:
    rates, times = [], []
    for number in range(syncs):
        rates.append(await at.run(LEARN % number, LIMIT_S))
        taken, agreed = await at.run(SYNC, LIMIT_S)
        assert agreed, "no round in the process itself"
        times.append(taken)
    return rates, times


def _sizes(folder: Path) -> dict[str, float]:
    """In MB: all files of the package, as they are and as they travel, and what of that is qorum's own."""
    files = [path for path in folder.rglob("*") if path.suffix in {".js", ".mjs", ".wasm", ".zip", ".whl", ".json"}]
    own = [path for path in files if path.parent.name != "pyodide" and path.name != "msgspec.zip"]
    return {
        "mb": _mb(sum(path.stat().st_size for path in files)),
        "gzip_mb": _mb(sum(len(gzip.compress(path.read_bytes())) for path in files)),
        "own_mb": _mb(sum(path.stat().st_size for path in own)),
    }


def _mb(size: int) -> float:
    return round(size / 1e6, 2)


def _spread(figures: list[float]) -> dict[str, float]:
    spread = {"median": statistics.median(figures), "min": min(figures), "max": max(figures)}
    return {name: round(figure, 1) for name, figure in spread.items()}
