"""How long one merge takes, next to what any trimmed mean of that shape must cost."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qorum.config import FederationConfig
from qorum.merge.fixed import ONE, Ints, to_float
from qorum.merge.registers import MEMBER_BITS, Registers
from qorum.merge.rule import Ground, merge
from qorum.merge.rules import Rules

ROUND = 10


def merge_bench(members: int = 593, cells: int = 4000, repeats: int = 20, seed: int = 0) -> dict[str, Any]:
    """Time the trimmed merge of a full table: every member reports every cell, a third of them may lie.

    Next to it, in turn with it, a plain `np.sort` trimmed mean of float32 [cells, members], which has no visits,
    bases, budgets or exclusions, and a copy of the bytes of the columns that the merge reads.

    Args:
        members: n, 4 or more.
        cells: C, 1 or more.
        repeats: how often each is timed, after one run that is not.

    Returns:
        JSON-able: the shape; `merge_ms`, `plain_sort_ms` and `copy_ms`, each {median, min, max}; the bytes copied;
        the largest difference between our value of a cell and its visit-weighted mean in floats; the machine.
    """
    trim = (members - 1) // 3
    registers = _full_registers(members, cells, seed)
    rules = Rules.of(FederationConfig(visit_budget_initial=2**23 - 1), members, trim)
    ground = Ground(ROUND, np.zeros(cells, np.int64), np.zeros(4, np.int64), np.zeros(members, dtype=bool))
    floats = to_float(registers.value).astype(np.float32).reshape(cells, members)
    read = (registers.key, registers.value, registers.visits, registers.base)
    room = tuple(np.empty_like(column) for column in read)

    timed = _interleaved(
        {
            # New registers each time: what one run computes of them must not help the next.
            "merge_ms": lambda: merge(Registers(*registers.columns()), ground, rules),
            "plain_sort_ms": lambda: _plain_trimmed_mean(floats, trim),
            "copy_ms": lambda: _copy(read, room),
        },
        repeats,
    )
    return {
        "members": members,
        "cells": cells,
        "registers": len(registers),
        "trimmed_each_side": trim,
        "repeats": repeats,
        "seed": seed,
        **timed,
        "bytes_copied": sum(column.nbytes for column in read),
        "largest_error": _largest_error(registers, ground, rules, trim),
        "machine": machine(),
    }


def machine() -> str:
    """One line: processor, cores, system, Python and NumPy."""
    cores = f"{os.cpu_count()} cores"
    python = f"Python {platform.python_version()}"
    return ", ".join((_processor(), cores, f"{sys.platform} {platform.release()}", python, f"NumPy {np.__version__}"))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return next(iter(names), platform.processor() or platform.machine())


def _full_registers(members: int, cells: int, seed: int) -> Registers:
    rng = np.random.default_rng(seed)
    key = (np.arange(cells)[:, None] << MEMBER_BITS) | np.arange(members)
    rows = key.size
    value = rng.integers(-50 * ONE, 50 * ONE, rows)
    visits, spread = rng.integers(1, 20, rows), rng.integers(0, ONE, rows)
    return Registers(key.ravel(), value, visits, spread, np.full(rows, ROUND - 1), np.full(rows, 1))


def _plain_trimmed_mean(values: NDArray[np.float32], trim: int) -> NDArray[np.float32]:
    ranked = np.sort(values, axis=1)[:, trim : values.shape[1] - trim]
    return np.asarray(ranked.mean(axis=1))


def _copy(columns: tuple[Ints, ...], room: tuple[Ints, ...]) -> None:
    for column, place in zip(columns, room, strict=True):
        np.copyto(place, column)


def _largest_error(registers: Registers, ground: Ground, rules: Rules, trim: int) -> float:
    shape = (len(ground.previous), rules.n_members)
    value, visits = to_float(registers.value).reshape(shape), registers.visits.reshape(shape)
    order = np.argsort(value, axis=1, kind="stable")[:, trim : shape[1] - trim]
    value, visits = np.take_along_axis(value, order, 1), np.take_along_axis(visits, order, 1)
    expected = (value * visits).sum(axis=1) / visits.sum(axis=1)
    return float(np.abs(to_float(merge(registers, ground, rules).value) - expected).max())


def _interleaved(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: _summary(times[1:]) for name, times in taken.items()}


def _summary(times: list[float]) -> dict[str, float]:
    figures = {"median": statistics.median(times), "min": min(times), "max": max(times)}
    return {name: round(figure, 3) for name, figure in figures.items()}
