"""What being durable costs: the store under many members, next to a bare file that is synced after every write."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.store import Store

RECORD_BYTES = 1_000
"""Of a member's record in a small federation; it grows by 64 for each signature in a certificate."""


def store_bench(
    members: Sequence[int] = (1, 7, 64), seconds: float = 2.0, size: int = RECORD_BYTES, folder: Path | None = None
) -> dict[str, Any]:
    """Members that each make a record durable, wait for it, and go on to the next, all at once, on a new store.

    Args:
        members: how many write at once; a measurement for each.
        seconds: how long each takes.
        size: bytes of a record.
        folder: on the disk to measure; a temporary one by default.

    Returns:
        JSON-able: for the bare file and for each number of members, writes and syncs a second and the milliseconds that
        a write waits, {p50, p99}. The store syncs once for all who wait.
    """
    genesis = Genesis((bytes(range(32)),), FederationConfig())
    rows = {"bare file": _bare(size, seconds, folder)}
    for count in members:
        with tempfile.TemporaryDirectory(dir=folder) as room, Store.open(room, genesis) as store:
            rows[f"{count} at once"] = _stored(store, count, seconds, size)
    return {"bytes": size, "seconds": seconds, **rows}


def _stored(store: Store, count: int, seconds: float, size: int) -> dict[str, Any]:
    before = store.transactions
    row = _together(count, seconds, lambda key: store.persist(key, bytes(size)).result())
    return {**row, "syncs_per_s": round((store.transactions - before) / seconds)}


def _bare(size: int, seconds: float, folder: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:

        def write(key: bytes) -> None:
            file.write(bytes(size))
            os.fsync(file.fileno())

        row = _together(1, seconds, write)
    return {**row, "syncs_per_s": row["writes_per_s"]}


def _together(count: int, seconds: float, write: Callable[[bytes], None]) -> dict[str, Any]:
    """So many writers, each as often as it can."""
    end = time.perf_counter() + seconds

    def life(number: int) -> list[float]:
        waits, key = [], number.to_bytes(32, "big")
        while (begin := time.perf_counter()) < end:
            write(key)
            waits.append(time.perf_counter() - begin)
        return waits

    with ThreadPoolExecutor(count) as pool:
        waits = [wait for life in pool.map(life, range(count)) for wait in life]
    p50, p99 = (round(1000 * float(np.quantile(waits, share)), 2) for share in (0.5, 0.99))
    return {"writes_per_s": round(len(waits) / seconds), "wait_ms": {"p50": p50, "p99": p99}}
