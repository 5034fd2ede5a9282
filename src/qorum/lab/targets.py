"""The founding record's targets, each measured now, for its fleet of 593: what it asks for, what there is, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from qorum.core.quorum import Quorum
from qorum.lab.arena.bout import QORUM, Bout
from qorum.lab.bench import machine, merge_bench
from qorum.sim.experiment import Experiment, Measured

FOUNDING, CELLS = 593, 4_000
ATTACKS = ("sign_flip", "extreme_high", "goal_suppression")
ATTACKED, STEPS, SYNC_EVERY = "CliffWalking-v1", 500, 10
HELD = 0.95
"""Of the optimum, that honest agents come to where an attack fails."""

Progress = Callable[[float], None]


class Target(NamedTuple):
    """A row of the record's table."""

    metric: str
    target: str
    measured: str
    met: bool
    how: str
    """The command that measures it alone."""


def targets_bench(members: int = FOUNDING, seed: int = 0, progress: Progress = lambda share: None) -> dict[str, Any]:
    """Measure all of them. The protocol runs in virtual time, the merge in real time on this machine.

    Returns a JSON-able dict; `rows` has one `Target` for each.

    Raises:
        ConfigError: fewer members than tolerate a liar, or a number out of its range.
    """
    began = time.perf_counter()
    simulated = Measured(Experiment(members=members, rounds=2, seed=seed)).run()
    progress(0.6)
    merged = merge_bench(members, CELLS, repeats=5, seed=seed)
    progress(0.7)
    attacked = {}
    for number, attack in enumerate(ATTACKS, start=1):
        attacked[attack] = _bout(members, attack, seed).run()["normalised_value"]
        progress(0.7 + 0.3 * number / len(ATTACKS))
    rows = [*_of_rounds(simulated, members), _of_merge(merged), _of_liars(attacked, members)]
    return {
        "members": members,
        "seed": seed,
        "machine": machine(),
        "rows": [row._asdict() for row in rows],
        "wall_s": round(time.perf_counter() - began, 1),
    }


def _bout(members: int, attack: str, seed: int) -> Bout:
    return Bout(ATTACKED, QORUM, attack, members, _tolerated(members), seed, STEPS, SYNC_EVERY)


def _tolerated(members: int) -> int:
    return Quorum.of(members, 1 / 3).tolerated


def _of_rounds(simulated: dict[str, Any], members: int) -> list[Target]:
    latency, hops = simulated["sync_latency_s"], simulated["hops"]
    exchange, received = simulated["largest_exchange_bytes"], simulated["bytes_received_per_member_per_round"]["mean"]
    how = f"simulate --members {members} --rounds 2"
    late, far = f"p99 {latency['p99']:.2f} s, links of 20 to 80 ms", f"mean {hops['mean']:.1f}, at most {hops['max']}"
    own = f"{exchange / 1000:.1f} kB, a member's own contribution"
    all_of_it = f"{received / 1000:.0f} kB, everybody's contributions and votes"
    return [
        Target("sync latency", "< 5 s", late, latency["p99"] < 5.0, how),
        Target("gossip", "about 10 hops", far, hops["max"] <= 10, how),
        Target("sent per sync", "< 100 KB", own, exchange < 1e5, how),
        Target("received per sync", "< 100 KB", all_of_it, received < 1e5, how),
    ]


def _of_merge(merged: dict[str, Any]) -> Target:
    alone, defended = merged["merge_ms"]["median"], merged["defence_ms"]["median"]
    says = f"{alone:.0f} ms, {defended:.0f} ms with the whole defence; {CELLS:,} cells that everybody reports"
    return Target("merge", "< 100 ms", says, defended < 100.0, "bench merge")


def _of_liars(attacked: dict[str, float], members: int) -> Target:
    liars = _tolerated(members)
    worst = min(attacked, key=attacked.__getitem__)
    options = " ".join(f"--attack {attack}" for attack in ATTACKS)
    return Target(
        "malicious members",
        "f < n/3",
        f"{liars} lie and the others come to {attacked[worst]:.2f} of the optimum ({worst}) or more",
        attacked[worst] >= HELD,
        f"arena --members {members} --rule qorum --task {ATTACKED} --fraction .3333 --seeds 1 --pulls 0 {options}",
    )
