"""`qorum arena`: who still learns when a third of the members lie, rule by rule and attack by attack."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import qorum
from qorum.lab.arena.bout import QORUM, Bout
from qorum.lab.arena.grid import THIRD, WORST, Case, Grid
from qorum.lab.arena.study import NOBODY
from qorum.lab.arena.worst_case import Arm, search
from qorum.lab.bench import machine
from qorum.lab.journal import Journal, Record
from qorum.lab.rules import missing
from qorum.lab.statistics import bootstrap_interval, mean_steps
from qorum.lab.tasks import load
from qorum.lab.workers import run_all

Progress = Callable[[str, float], None]
STAGES = ("references", "bouts", "worst case", "ablation")


def arena(grid: Grid, folder: Path, progress: Progress = lambda name, share: None) -> dict[str, Any]:
    """Run what the journal in `folder` does not hold yet, and sum everything up.

    Returns a JSON-able dict; `rows` has one for each task, attack, fraction and rule.

    Raises:
        ConfigError: the folder holds the journal of something else.
    """
    started, journal = time.perf_counter(), Journal(folder / "bouts.jsonl", Bout)

    def results(bouts: Sequence[Bout], stage: str = "") -> list[Record]:
        run_all(bouts, journal, lambda share: progress(stage, share) if stage else None)
        return [journal[bout] for bout in bouts]

    cases = list(grid.cases())
    plain = [case for case in cases if case.attack != WORST]
    references = _References(grid, lambda bouts: results(bouts, "references"))
    results([bout for case in plain for bout in grid.seeded(case)], "bouts")
    rows = [_row(case, results(grid.seeded(case)), references) for case in plain]
    arms: dict[str, Arm] = {}
    searched = [case for case in cases if case.attack == WORST]
    for done, case in enumerate(searched):
        rows.append(_worst(case, grid, arms, rows, references, results))
        progress("worst case", (done + 1) / len(searched))
    progress("worst case", 1.0)
    ablation = [(part, results(bouts, "ablation")) for part, bouts in grid.ablated()]
    progress("ablation", 1.0)
    return {
        "kind": "arena",
        "qorum": qorum.__version__,
        "machine": machine(),
        "seeds": grid.seeds,
        "tasks": {task: _described(task, grid) for task in grid.tasks},
        "missing_rules": {rule: why for rule, why in missing().items() if rule in grid.rules},
        "rows": rows,
        "ablation": _ablation(ablation, grid),
        "wall_s": round(time.perf_counter() - started, 1),
    }


class _References:
    """The two lines that every result is held against: honest members alone, and an agent alone."""

    def __init__(self, grid: Grid, results: Callable[[list[Bout]], list[Record]]) -> None:
        self._grid = grid
        alone = {task: grid.isolated(task) for task in grid.tasks}
        honest = {self._key(case): grid.oracle(case) for case in grid.cases()}
        results([bout for bouts in (*alone.values(), *honest.values()) for bout in bouts])
        self._isolated = {task: _mean(results(bouts)) for task, bouts in alone.items()}
        self._oracle = {key: _mean(results(bouts)) for key, bouts in honest.items()}

    def of(self, case: Case) -> dict[str, float]:
        """The two values of a row."""
        return {"isolated_value": self._isolated[case.task], "oracle_value": self._oracle[self._key(case)]}

    def _key(self, case: Case) -> tuple[str, int]:
        return case.task, self._grid.liars(case.fraction)


def _worst(
    case: Case, grid: Grid, arms: dict[str, Arm], rows: list[dict[str, Any]], references: _References,
    results: Callable[[Sequence[Bout]], list[Record]],
) -> dict[str, Any]:  # fmt: skip
    """The row of the worst attack. For qorum it is searched for, once a task, with a third lying; other rules, which
    default settings defeat, get the worst of their rows."""
    place = (case.task, case.rule, _shown(case.fraction))
    same = [row for row in rows if (row["task"], row["rule"], row["fraction"]) == place and row["attack"] != WORST]
    if case.rule != QORUM or not grid.pulls:
        worst = min(same, key=lambda row: row["normalised_value"])
        return {**worst, "attack": WORST, "arm": worst["attack"]}
    if case.task not in arms:
        arms[case.task] = search(replace(case, fraction=THIRD), grid, results)
    attack, arm = arms[case.task]
    records = results([replace(bout, arm=arm) for bout in grid.seeded(replace(case, attack=attack))])
    return {**_row(case, records, references), "arm": f"{attack}: {arm}" if arm else attack}


def _shown(fraction: float) -> float:
    """A fraction as rows have it."""
    return round(fraction, 4)


def _row(case: Case, records: list[Record], references: _References) -> dict[str, Any]:
    values = [record["normalised_value"] for record in records]
    defended = case.rule == QORUM
    return {
        "members": case.members,
        "liars": records[0]["liars"],
        "seeds": len(records),
        "task": case.task,
        "attack": case.attack,
        "fraction": _shown(case.fraction),
        "rule": case.rule,
        "accusing": records[0]["accusing"],
        "normalised_value": _mean(records),
        "interval": bootstrap_interval([values]).tolist() if len(values) > 1 else None,
        "lowest_value": min(values),
        "worst_honest_value": min(record["worst_honest_value"] for record in records),
        **references.of(case),
        "steps_per_agent": records[0]["steps"],
        "true_positive_rate": _mean(records, "true_positive_rate"),
        "exposed_positive_rate": _mean(records, "exposed_positive_rate"),
        "false_positive_rate": _mean(records, "false_positive_rate"),
        "paired_honest": _mean(records, "paired_honest") if defended else None,
        "curve": _series(records, "curve"),
        "exclusions": _series(records, "exclusions") if defended else None,
        "cells": _series(records, "cells") if defended else None,
        "steps_to_95": mean_steps([record["steps_to_95"] for record in records]),
        "arm": None,
    }


def _mean(records: Sequence[Record], name: str = "normalised_value") -> Any:
    """The mean over all seeds; None where a figure does not apply."""
    runs = [record[name] for record in records]
    return None if None in runs else round(float(np.mean(runs)), 6)


def _series(records: Sequence[Record], name: str) -> list[list[float]]:
    """Means over all seeds, point by point; the steps are the same for all."""
    mean: NDArray[np.float64] = np.mean([record[name] for record in records], axis=0)
    return [[round(figure, 6) for figure in point] for point in mean.tolist()]


def _described(name: str, grid: Grid) -> dict[str, Any]:
    task, case = load(name), Case(name, NOBODY, 0.0, QORUM, grid.members)
    steps = grid.bout(case, 0).steps
    return {"steps": steps, "sync_every": grid.sync_every, "states": task.n_states, "actions": task.n_actions}


def _ablation(found: Sequence[tuple[str, list[Record]]], grid: Grid) -> list[dict[str, Any]]:
    """What each part of the defence is worth, task by task."""
    whole = dict(found).get("", [])
    return [
        {
            "part": part, "task": task, "members": grid.members,
            "with": _by_attack(whole, task), "without": _by_attack(records, task),
        }
        for part, records in found if part for task in grid.tasks
    ]  # fmt: skip


def _by_attack(records: Sequence[Record], task: str) -> dict[str, Any]:
    attacks = dict.fromkeys(record["attack"] for record in records)
    return {name: _mean([r for r in records if (r["attack"], r["task"]) == (name, task)]) for name in attacks}
