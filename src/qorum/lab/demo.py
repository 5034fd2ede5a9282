"""`qorum demo`: a fleet solves a task that none of its agents solves alone, in five acts.

Every act gives each agent the same number of steps on the same task. What is compared is the greedy policy of what an
agent acts on in the end, valued exactly from the task's own transition table: 0 = best trivial policy, 1 = optimum.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from queue import Empty
from typing import Any

from qorum import __version__
from qorum.lab.acts import ATTACKS, Progress, acts
from qorum.lab.plan import Plan
from qorum.lab.tasks import load


def run(plan: Plan, progress: Progress = lambda act, share: None, workers: int = 2) -> dict[str, Any]:
    """Run all acts, in `workers` processes, and gather what they show. Returns a JSON-able dict."""
    started = time.perf_counter()
    done = dict(_in_processes(plan, progress, workers) if workers > 1 else _here(plan, progress))
    task, main = load(plan.task), done["federated"]
    parts = {name: done[name] for name in ATTACKS if name in done}
    return {
        "task": plan.task,
        "members": plan.members,
        "liars": plan.liars,
        "steps_per_agent": plan.steps,
        "seed": plan.seed,
        "command": plan.command,
        "version": __version__,
        "optimum": task.optimum,
        "trivial": task.trivial,
        "isolated": done["isolated"],
        "naive": done["naive"],
        "federated": main,
        "attacked": {**_lowest([*parts.values()] or [main]), "parts": parts},
        "partitioned": done["partitioned"],
        **{key: main[key] for key in ("rounds", "terms", "bytes_received_per_member_per_round", "sync_latency_s")},
        "agreed_tables_identical": all(act.get("agreed_tables_identical", True) for act in done.values()),
        "wall_s": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def _lowest(parts: list[dict[str, Any]]) -> dict[str, float]:
    """The worst of several acts, value by value."""
    return {key: min(part[key] for part in parts) for key in ("normalised_value", "worst_member")}


def _here(plan: Plan, progress: Progress) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, act in acts(plan).items():
        yield name, act(plan, progress)


def _in_processes(plan: Plan, progress: Progress, workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each act in a process of its own; shares of progress come back through a queue."""
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        shares = manager.Queue()
        futures = {name: pool.submit(_act, plan, name, shares) for name in acts(plan)}
        while not all(future.done() for future in futures.values()):
            try:
                progress(*shares.get(timeout=0.2))
            except Empty:
                continue
        for name, future in futures.items():
            progress(name, 1.0)
            yield name, future.result()


def _act(plan: Plan, name: str, shares: Any) -> dict[str, Any]:
    gc.set_threshold(100_000, 50, 50)  # most objects live for rounds; looking at them again and again costs a tenth
    return acts(plan)[name](plan, lambda act, share: shares.put((act, share)))
