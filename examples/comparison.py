"""What the examples share: their options, and the table that they end with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Play = Callable[[int, bool], dict[str, list[float]]]
"""(seed, quick) -> for each method one value or more, the higher the better; one of the methods is "fleet"."""


def main(doc: str | None, what: str, play: Play, seeds: int) -> None:
    """Play on so many seeds, or as many as the command line says, and print what came of it."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"how many seeds (default: {seeds})")
    parser.add_argument("--quick", action="store_true", help="one seed and a smaller fleet, in seconds")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    args = parser.parse_args()
    if args.seeds < 1:
        parser.error(f"--seeds is {args.seeds}; at least 1 is needed")
    chosen = range(args.seed, args.seed + (1 if args.quick else args.seeds))
    runs = []
    for done, seed in enumerate(chosen, 1):
        print(f"seed {seed}, {done} of {len(chosen)} ...", file=sys.stderr)
        runs.append(play(seed, args.quick))
    rows = [_row(method, runs) for method in runs[0]]
    print(json.dumps({"what": what, "seeds": list(chosen), "results": rows}) if args.json else _table(what, rows))


def _row(method: str, runs: list[dict[str, list[float]]]) -> dict[str, Any]:
    """Figures of one method, over all that it gave, and how much the fleet gained on it, seed by seed."""
    values = np.concatenate([run[method] for run in runs])
    gains = [float(np.mean(run["fleet"]) - np.mean(run[method])) for run in runs]
    return {
        "method": method,
        "mean": float(values.mean()),
        "spread": float(values.std()),
        "worst": float(values.min()),
        "fleet_gains": float(np.mean(gains)),
        "standard_error": float(np.std(gains, ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else None,
        "seeds": len(runs),
    }


def _table(what: str, rows: list[dict[str, Any]]) -> str:
    lines = [what, f"{'method':15}{'mean':>9}{'spread':>9}{'worst':>9}   {'the fleet gains':16}{'seeds':>7}"]
    for row in rows:
        error = row["standard_error"]
        gains = f"{row['fleet_gains']:.3f}" + ("" if error is None else f" +- {error:.3f}")
        shown = "".join(f"{row[column]:9.3f}" for column in ("mean", "spread", "worst"))
        lines.append(f"{row['method']:15}{shown}   {gains if row['method'] != 'fleet' else '':16}{row['seeds']:7}")
    return "\n".join(lines)
