"""Parts of a table worked on side by side: NumPy lets go of the interpreter while it computes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

FEWEST = 4
"""Parts that are worth handing to others."""
CORES = 1 if sys.platform == "emscripten" else min(os.cpu_count() or 1, 4)
"""Threads; more than a few wait for memory. WebAssembly has one."""


def each(work: Callable[[Part], Result], parts: Sequence[Part]) -> Iterable[Result]:
    """What `work` makes of each part, in order, and the same on one core as on many: `work` shares nothing."""
    return map(work, parts) if CORES == 1 or len(parts) < FEWEST else _threads().map(work, parts)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CORES, thread_name_prefix="merge")
