"""Whether agents that join real nodes learn as the lab says: processes with `qorum.join`, next to `Fleet`.

Both run the same agents on the same task from the same seeds, and all of them begin a sync at the same time. What
differs is all that a perfect network leaves out: a round takes who was in time, and messages and the disk take theirs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from qorum.config import FederationConfig
from qorum.errors import ConfigError, QorumError
from qorum.lab.fleet import Fleet, config_for
from qorum.lab.rollout import Rollout
from qorum.lab.tasks import Task, load
from qorum.node.join import Federation, join
from qorum.node.layout import lay_out
from qorum.node.up import free_addresses
from qorum.qtable import QTable

BONUS = 0.1
"""For exploring, as a share of the difference between the highest and the lowest reward; see decision 015."""
TOGETHER_S = 120.0
"""Seconds that all processes have to be there, and to be done, after the first."""
POINTS = 8
"""Of each curve, that are shown."""
SYNC_S = 30.0
"""Seconds that a round may take."""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Course:
    """What every agent lives through.

    Raises:
        ConfigError: an unknown task, or numbers that do not fit each other.
    """

    task: str
    steps: int
    """Of each agent."""
    agents: int = 16
    sync_every: int = 20
    """Steps between two syncs."""

    def __post_init__(self) -> None:
        load(self.task)
        if self.agents < 4 or not 1 <= self.sync_every <= self.steps or self.steps % self.sync_every:
            raise ConfigError(f"{self}: needs 4 agents or more, and steps that are a multiple of sync_every")

    @property
    def bonus(self) -> float:
        """For exploring, in units of reward."""
        task = load(self.task)
        return BONUS * (task.r_max - task.r_min)

    def seed_of(self, seed: int, me: int) -> int:
        """Of one agent in one run."""
        return seed * self.agents + me


COURSES = (Course("FrozenLake8x8-v1", 2_400, sync_every=40), Course("Handover", 300))


def join_bench(
    courses: Sequence[Course] = COURSES,
    *,
    seeds: int = 3,
    lab_seeds: int = 20,
    progress: Progress = lambda share: None,
) -> dict[str, Any]:
    """Live every course in processes of their own, each with a node of its own on loopback, and in the lab.

    Args:
        seeds: runs in processes.
        lab_seeds: runs in the lab, of which the spread is taken.

    Returns:
        JSON-able. `rows` has one for each course: `steps`; `joined` and `lab`, the normalised value of the agreed
        table after each sync, by run; `within`, the share of points of `joined` that lie between the lowest
        and the highest of `lab` at as many steps.

    Raises:
        QorumError: nodes do not come up, or agree on nothing.
    """
    rows, done, all_runs = [], 0, len(courses) * (seeds + lab_seeds)
    for course in courses:
        curves: dict[str, list[list[float]]] = {"joined": [], "lab": []}
        for name, live, runs in (("joined", _joined, seeds), ("lab", _in_the_lab, lab_seeds)):
            for seed in range(runs):
                curves[name].append(live(course, seed))
                progress((done := done + 1) / all_runs)
        rows.append(_row(course, **curves))
    return {"seeds": seeds, "lab_seeds": lab_seeds, "rows": rows}


def in_short(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Lines for people: a heading for each course, and means at a few points of its curves."""
    lines: list[tuple[str, ...]] = []
    for row in result["rows"]:
        joined, lab = np.array(row["joined"]), np.array(row["lab"])
        lines.append((f"{row['task']}, {row['agents']} agents", f"within: {row['within']:.0%}", "", "", ""))
        for at in np.unique(np.linspace(0, len(row["curve_steps"]) - 1, POINTS).round().astype(int)):
            figures = joined[:, at].mean(), lab[:, at].mean(), lab[:, at].min(), lab[:, at].max()
            lines.append((str(row["curve_steps"][at]), *(f"{figure:.3f}" for figure in figures)))
    return lines


def _row(course: Course, joined: list[list[float]], lab: list[list[float]]) -> dict[str, Any]:
    low, high = np.min(lab, axis=0), np.max(lab, axis=0)
    within = (low <= joined) & (joined <= high)
    steps = list(range(course.sync_every, course.steps + 1, course.sync_every))
    return {
        **asdict(course),
        "curve_steps": steps,
        "joined": joined,
        "lab": lab,
        "within": round(float(within.mean()), 4),
    }


def _in_the_lab(course: Course, seed: int) -> list[float]:
    task = load(course.task)
    fleet = Fleet(task, config_for(task), course.agents, steps=course.steps, seed=seed, bonus=course.bonus)
    curve = []
    for _ in range(course.steps // course.sync_every):
        fleet.round(course.sync_every)
        curve.append(_value(task, fleet.state.table))
    return curve


# --- in processes of their own ---


def _joined(course: Course, seed: int) -> list[float]:
    """As the first member sees it."""
    task, context = load(course.task), get_context("spawn")
    config = config_for(task, sync_after_interactions=course.steps + 1, sync_interval_ms=600_000)
    with tempfile.TemporaryDirectory(prefix="qorum-") as folder:
        layout = lay_out(Path(folder) / "federation", config, course.agents, free_addresses(course.agents), tls=True)
        configs = [node.config for node in layout.nodes]
        barrier = context.Barrier(course.agents)
        with ProcessPoolExecutor(course.agents, context, _meet, (barrier,)) as pool:
            curve, *_ = pool.map(partial(_live, course, seed), configs, range(course.agents))
    return curve


_others: Barrier
"""Of the processes of one run."""


def _meet(barrier: Barrier) -> None:
    global _others
    _others = barrier


def _live(course: Course, seed: int, config: str, me: int) -> list[float]:
    """In a process of its own. All members agree on the same tables, so one of them values them."""
    try:
        with join(config) as federation:
            _others.wait(TOGETHER_S)
            curve = _live_in(federation, course, course.seed_of(seed, me), values=me == 0)
            _others.wait(TOGETHER_S)  # the others need a quorum
        return curve
    except BaseException:
        _others.abort()
        raise


def _live_in(federation: Federation, course: Course, seed: int, *, values: bool) -> list[float]:
    task, curve = load(course.task), list[float]()
    agent = federation.agent(bonus=course.bonus, seed=seed)
    rollout = Rollout(task.make_env(seed), agent, seed=seed, steps=course.steps)
    while not rollout.done:
        rollout.take(course.sync_every)
        _others.wait(TOGETHER_S)  # else whoever is quick opens more rounds, each a backup more than the lab makes
        if not federation.sync(SYNC_S).agreed:
            raise QorumError(f"no round was agreed on within {SYNC_S:.0f} s; {federation.status().members[0]}")
        if values:
            curve.append(_value(task, federation.agreed_table))
    return curve


def _value(task: Task, table: QTable) -> float:
    return round(task.evaluate(table, FederationConfig().initial_q), 6)
