"""How soon a word is agreed on by real processes, and how soon again once their leader is killed; next to a Raft."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from qorum.lab.publishing import node_life, raft_life
from qorum.lab.publishing.crew import Committed, Crew
from qorum.node.layout import lay_out
from qorum.node.life import GRID
from qorum.node.up import federation_for, free_addresses

INTERVAL_MS = 200
"""Between two words of one replica, about; all else as it comes."""
SETTLE_S = 2.0
"""Seconds that a crew has to itself before it is measured."""
GIVE_UP_S = 30.0
"""Seconds in which something has to be agreed on after a leader's death."""

Progress = Callable[[float], None]
Open = Callable[[int], AbstractContextManager[Crew]]


def node_bench(
    *,
    sizes: Sequence[int] = (4, 7),
    seconds: float = 10.0,
    repeats: int = 5,
    trials: int = 20,
    seed: int = 0,
    progress: Progress = lambda share: None,
) -> dict[str, Any]:
    """Replicas that publish at random all the time: qorum's nodes and PySyncObj's, each in turn with the other.

    Args:
        sizes: how many replicas, each in a process of its own on loopback; latency is that of the first.
        seconds: of each measurement of latency, of which there are `repeats`.
        trials: deaths of a leader, at each size.
        seed: of who is killed when.

    Returns:
        JSON-able. `latency_ms`: from publishing to the author's knowing that it is agreed, {p50, p99} over the repeats,
        each {median, min, max}. `failover_ms`: from SIGKILL to the first commit anywhere of what was published after
        it, {median, min, max}, for each size.

    Raises:
        MissingExtra: PySyncObj is not installed.
        QorumError: replicas do not come up, or agree on nothing.
    """
    raft_life.library()
    kinds: dict[str, Open] = {"qorum": _nodes, "pysyncobj": _rafts}
    steps = repeats * len(kinds) + len(sizes) * len(kinds)
    done = 0
    waits: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    deaths: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
    for _ in range(repeats):
        for kind, crew_of in kinds.items():
            with crew_of(sizes[0]) as crew:
                waits[kind].append(_latencies(crew, seconds))
            progress((done := done + 1) / steps)
    for size in sizes:
        for kind, crew_of in kinds.items():
            with crew_of(size) as crew:
                deaths[kind][str(size)] = _spread(_failovers(crew, trials, Random(seed)))
            progress((done := done + 1) / steps)
    return {
        "sizes": list(sizes),
        "interval_ms": INTERVAL_MS,
        "repeats": repeats,
        "trials": trials,
        "seed": seed,
        **{
            kind: {
                "latency_ms": {
                    name: _spread([float(np.quantile(wait, share)) for wait in waits[kind]])
                    for name, share in (("p50", 0.5), ("p99", 0.99))
                },
                "words": sum(map(len, waits[kind])),
                "failover_ms": deaths[kind],
            }
            for kind in kinds
        },
    }


@contextmanager
def _nodes(size: int) -> Iterator[Crew]:
    config = federation_for(GRID, sync_interval_ms=INTERVAL_MS)
    rate = config.sync_after_interactions * 1000 / INTERVAL_MS
    with tempfile.TemporaryDirectory(prefix="qorum-") as folder:
        layout = lay_out(Path(folder) / "federation", config, size, free_addresses(size), tls=True)
        crew = Crew([partial(node_life.live, node.config, rate) for node in layout.nodes])
        try:
            yield crew
        finally:
            crew.close()


@contextmanager
def _rafts(size: int) -> Iterator[Crew]:
    addresses = free_addresses(size)
    crew = Crew([partial(raft_life.live, addresses, INTERVAL_MS / 1000)] * size)
    try:
        yield crew
    finally:
        crew.close()


def _latencies(crew: Crew, seconds: float) -> list[float]:
    """Milliseconds that each word waited that was published within the time."""
    begin = time.monotonic() + SETTLE_S
    end = begin + seconds
    waits = []
    while (left := end - time.monotonic()) > 0:
        for _, told in crew.hear(left):
            if isinstance(told, Committed) and told.published >= begin:
                waits.append(1000 * (told.committed - told.published))
    return waits


def _failovers(crew: Crew, trials: int, random: Random) -> list[float]:
    """Milliseconds without a commit after each death; who is dead comes back before the next."""
    gaps = []
    for _ in range(trials):
        _let_pass(crew, SETTLE_S * random.uniform(1, 1.5))
        number, died = crew.kill_leader(random)
        gaps.append(1000 * (_first_commit(crew, published_after=died) - died))
        crew.restart(number)
    return gaps


def _let_pass(crew: Crew, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        crew.hear(left)


def _first_commit(crew: Crew, published_after: float) -> float:
    deadline = time.monotonic() + GIVE_UP_S
    while (left := deadline - time.monotonic()) > 0:
        times = [
            told.committed
            for _, told in crew.hear(left)
            if isinstance(told, Committed) and told.published > published_after
        ]
        if times:
            return min(times)
    return deadline


def _spread(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = (round(float(value), 1) for value in np.quantile(values, (0, 0.5, 1)))
    return {"median": middle, "min": low, "max": high}
