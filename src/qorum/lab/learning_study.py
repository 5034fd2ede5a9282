"""What `qorum bench learning` found, looked up by task, method and number of agents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import numpy as np

Row = dict[str, Any]
FOUNDING_CASE = 593
FOUNDING_FORMULA = "visit_weighted"
POINTS = 30
"""Of a learning curve that are drawn and listed."""


class Method(NamedTuple):
    """A way to learn together, and how it looks in every figure."""

    key: str
    name: str
    short: str
    colour: str
    dash: Any
    width: float

    @property
    def leads(self) -> bool:
        """Whether it stands out: what qorum does by default."""
        return self.key == "replay"

    @property
    def merges(self) -> bool:
        """Whether its agents merge what they know at an even pace; FedQ-Hoeffding decides itself when to."""
        return self.key not in ("isolated", "pooled", "fedq_hoeffding")

    @property
    def shaded(self) -> bool:
        """Whether its intervals are drawn: those of all would hide the curves."""
        return self.key in ("replay", "pooled", FOUNDING_FORMULA)


METHODS = (
    Method("pooled", "pooled learner", "pooled", "ink", (0, (4, 2)), 1.8),
    Method("replay", "qorum replay", "replay", "blue", "-", 3.2),
    Method("implied", "qorum implied", "implied", "green", "-", 2.4),
    Method("replay_robust", "qorum robust", "robust", "blue", (0, (2, 1)), 2.0),
    Method("visit_weighted", "founding formula", "founding", "red", "-", 2.0),
    Method("importance", "importance", "importance", "pink", (0, (6, 1.5, 1.5, 1.5)), 1.5),
    Method("equal", "equal weights", "equal", "amber", (0, (6, 1.5)), 1.5),
    Method("fedq_hoeffding", "FedQ-Hoeffding", "FedQ", "pink", (0, (1.5, 1.5)), 1.5),
    Method("isolated", "each alone", "alone", "grey", (0, (2, 2)), 1.5),
)
"""All that are known, the reference and qorum's own first."""


@dataclass(frozen=True)
class Study:
    """What `qorum bench learning` found, looked up by task, method and number of agents."""

    result: dict[str, Any]

    @cached_property
    def tasks(self) -> list[str]:
        """Those with a row, in the order of the result."""
        return list(dict.fromkeys(str(row["task"]) for row in self.result["rows"]))

    @cached_property
    def methods(self) -> list[Method]:
        """Those with a row; one that nobody has named yet comes last, in grey."""
        found = dict.fromkeys(str(row["method"]) for row in self.result["rows"])
        known = [method for method in METHODS if method.key in found]
        others = found.keys() - {method.key for method in known}
        return known + [Method(key, key, key, "grey", "-", 1.5) for key in sorted(others)]

    @cached_property
    def merging(self) -> list[Method]:
        """Those of `methods` that merge."""
        return [method for method in self.methods if method.merges]

    @cached_property
    def agents(self) -> int:
        """The population of the main figures: 593 if every task has it, else the largest that all of them share."""
        shared = set.intersection(*(self._populations(task) for task in self.tasks)) if self.tasks else set()
        everywhere = {int(row["agents"]) for row in self.result["rows"]}
        return FOUNDING_CASE if FOUNDING_CASE in shared else max(shared or everywhere, default=0)

    def _populations(self, task: str) -> set[int]:
        """Numbers of agents that learned `task` together; only where none did, alone."""
        rows = [row for row in self.result["rows"] if row["task"] == task]
        together = {int(row["agents"]) for row in rows if row["method"] != "isolated"}
        return together or {int(row["agents"]) for row in rows}

    @cached_property
    def _rows(self) -> dict[tuple[str, str, int], Row]:
        return {(row["task"], row["method"], int(row["agents"])): row for row in self.result["rows"]}

    def row(self, task: str, method: str, agents: int | None = None) -> Row | None:
        """The row of so many agents, by default `agents` of the study; None if there is none.

        An agent on its own learns alike in any company: for `isolated` any number of agents will do.
        """
        found = self._rows.get((task, method, agents or self.agents))
        if found is None and method == "isolated":
            return self.row_of_most(task, method)
        return found

    def row_of_most(self, task: str, *methods: str) -> Row | None:
        """The row of the first method with the most agents that all these methods were run with."""
        sets = [{n for of, by, n in self._rows if (of, by) == (task, method)} for method in methods]
        shared = set.intersection(*sets)
        return self._rows[task, methods[0], max(shared)] if shared else None

    def horizon(self, task: str) -> float | None:
        """1/(1 - gamma): over how many steps a reward still counts."""
        gamma = self.result["tasks"].get(task, {}).get("gamma")
        return None if gamma is None or gamma >= 1 else float(1 / (1 - gamma))

    def merges_to_99(self, task: str, method: str) -> int | None:
        """Merges until 99 % of the optimum; None if it was never reached, or nothing was merged."""
        row = self.row(task, method)
        if row is None or not row.get("rounds") or row.get("steps_to_99") is None:
            return None
        return ceil(float(row["steps_to_99"]) * int(row["rounds"]) / int(row["steps_per_agent"]))

    def scaling(self, task: str) -> list[tuple[Method, dict[str, Any]]]:
        """How the error of each method falls with the number of agents."""
        found = {part["method"]: part for part in self.result.get("scaling") or [] if part["task"] == task}
        return [(method, found[method.key]) for method in self.methods if method.key in found]

    @cached_property
    def scaled(self) -> list[str]:
        """The tasks with two or more points on log axes."""
        return [task for task in self.tasks if any(len(points(part)) > 1 for _, part in self.scaling(task))]


def points(part: dict[str, Any]) -> list[tuple[int, float]]:
    """(agents, error) of a part of the scaling that log axes can show: an exact table has no place on them."""
    return [(int(agents), float(error)) for agents, error in part["points"] if error is not None and error > 0]


def thinned(row: Row | None) -> list[tuple[int, float, float, float]]:
    """(steps, value, low, high) at up to POINTS steps of the curve of a row, evenly spread on a log axis."""
    curve = [point for point in (row or {}).get("curve") or [] if point[0] > 0 and point[1] is not None]
    if not curve:
        return []
    steps = [point[0] for point in curve]
    chosen = np.unique(np.searchsorted(steps, np.geomspace(steps[0], steps[-1], POINTS).clip(max=steps[-1])))
    return [_point(*curve[at][:4]) for at in chosen]


def _point(steps: float, value: float, low: float | None = None, high: float | None = None) -> Any:
    return int(steps), float(value), float(value if low is None else low), float(value if high is None else high)
