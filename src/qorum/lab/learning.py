"""How fast a fleet learns when registers reach everybody: learning alone, without the protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qorum.errors import ConfigError
from qorum.lab.fleet import Fleet, config_for
from qorum.lab.tasks import load

OPTIMAL = 0.9999


def learning_bench(
    task_name: str,
    members: int,
    steps: int,
    sync_every: int,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Let `members` agents take `steps` steps each, merging every `sync_every`, and value the merged table each time.

    Returns a JSON-able dict: the curve [[steps an agent, normalised value], ...], where 0 is the best trivial policy
    and 1 the optimum; the first steps at which 90 %, 99 % and the optimum were reached, or None; seconds of wall time.
    """
    if not 1 <= sync_every <= steps or members < 1:
        raise ConfigError(f"members {members}, steps {steps}, sync every {sync_every}: need 1 <= sync every <= steps")
    task = load(task_name)
    fleet = Fleet(task, config_for(task), members, steps=steps, seed=seed)
    started, curve = time.perf_counter(), []
    for done in range(sync_every, steps + 1, sync_every):
        fleet.round(sync_every)
        curve.append([done, task.evaluate(fleet.state.table, fleet.genesis.config.initial_q)])
        progress(done / steps)
    return {
        "task": task_name,
        "members": members,
        "steps_per_agent": steps,
        "sync_every": sync_every,
        "seed": seed,
        "evidence": fleet.genesis.config.evidence,
        "normalised_value": curve[-1][1],
        **{f"steps_to_{name}": _first(curve, level) for name, level in
           (("90", 0.9), ("99", 0.99), ("optimum", OPTIMAL))},
        "curve": curve,
        "wall_s": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def _first(curve: list[list[float]], level: float) -> int | None:
    return next((int(steps) for steps, value in curve if value >= level), None)
