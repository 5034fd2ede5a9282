"""Parts of a table worked on side by side: NumPy lets go of the interpreter while it computes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

FEWEST = 4
"""Parts that are worth handing to others."""
THREADS = 1 if sys.platform == "emscripten" else 2
"""More wait for memory, and for each other. WebAssembly has none to spare."""


def each(work: Callable[[Part], Result], parts: Sequence[Part]) -> Iterable[Result]:
    """What `work` makes of each part, in order, and the same on one core as on many: `work` shares nothing."""
    return map(work, parts) if THREADS == 1 or len(parts) < FEWEST else _threads().map(work, parts)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="merge")
