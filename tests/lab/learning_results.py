"""Results as `qorum bench learning` has them, of runs that never happened."""

from math import exp
from typing import Any

STEPS, SYNC = 400, 10
TASKS = {"Lake": 0.95, "GARNET(20,3,3)": 0.9}
METHODS = {
    "isolated": (3.0, 0.0),
    "pooled": (0.1, 0.5),
    "equal": (2.0, 0.1),
    "visit_weighted": (1.2, 0.15),
    "importance": (0.8, 0.3),
    "fedq_hoeffding": (1.6, 0.2),
    "implied": (0.3, 0.4),
    "replay": (0.12, 0.5),
    "replay_robust": (0.2, 0.45),
}
"""Method -> (how slow it is, exponent)."""


def learning_result(agents: tuple[int, ...] = (1, 64, 593), seeds: int = 10) -> dict[str, Any]:
    """Every method on two tasks, but for FedQ-Hoeffding on the first."""
    cases = [(task, method) for task in TASKS for method in METHODS if (task, method) != ("Lake", "fedq_hoeffding")]
    rows = [learning_row(task, method, number, seeds) for task, method in cases for number in agents]
    return {
        "command": "qorum bench learning --seeds 10",
        "version": "0.1.0",
        "machine": "a machine, 2 cores",
        "wall_s": 2913.4,
        "seeds": seeds,
        "sync_every": SYNC,
        "tasks": {
            task: {"optimum": 1.5, "trivial": -0.25, "states": 20, "actions": 3, "gamma": gamma}
            for task, gamma in TASKS.items()
        },
        "rows": rows,
        "scaling": [_scaling(rows, task, method) for task, method in cases],
        "horizons": [
            {"gamma": 0.5, "horizon": 2.0, "rounds": 15.3},
            {"gamma": 0.98, "horizon": 49.999, "rounds": None},
        ],
        "thresholds": [
            {"threshold": 2**-10, "bytes_per_agent": 6_058_354.3, "relative_sup_error": 0.00233, "pooled_error": 0.002}
        ],
        "studied": {"task": "GARNET(20,3,3)", "agents": 64},
    }


def learning_row(task: str, method: str, agents: int, seeds: int = 10) -> dict[str, Any]:
    """One row, with the curve of a learner that comes near the optimum the sooner the more agents help."""
    slow, exponent = METHODS[method]
    tau = 1000 * slow * agents**-exponent
    values = {steps: round(1 - 1.5 * exp(-steps / tau), 4) for steps in range(SYNC, STEPS + 1, SYNC)}
    error = round((0.2 + slow) * agents**-exponent / (2 if task == "Lake" else 1), 6)
    first = {level: next((steps for steps, value in values.items() if value >= level), None) for level in (0.9, 0.99)}
    return {
        "task": task,
        "method": method,
        "agents": agents,
        "steps_per_agent": STEPS,
        "seeds": seeds,
        "step_size": None if method.startswith(("replay", "pooled")) else 0.3,
        "normalised_value": values[STEPS],
        "normalised_value_ci": [values[STEPS] - 0.031, values[STEPS] + 0.017],
        "relative_sup_error": error,
        "relative_sup_error_ci": [0.9 * error, 1.2 * error],
        "pooled_error": 0.8 * error if method == "replay" else None,
        "steps_to_90": first[0.9],
        "steps_to_99": first[0.99],
        "rounds": STEPS // SYNC,
        "bytes_per_agent": 0 if method == "isolated" else 1234 * agents,
        "bytes_to_99": None if first[0.99] is None else 617 * agents,
        "curve": [[steps, value, value - 0.03, value + 0.01, error] for steps, value in values.items()],
    }


def _scaling(rows: list[dict[str, Any]], task: str, method: str) -> dict[str, Any]:
    exponent = METHODS[method][1]
    mine = [row for row in rows if (row["task"], row["method"]) == (task, method)]
    return {
        "task": task,
        "method": method,
        "exponent": exponent,
        "ci": [exponent - 0.041, exponent + 0.052],
        "points": [[row["agents"], row["relative_sup_error"]] for row in mine],
    }
