"""The memory of this process: how much there is in use, and that what is free goes back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's names, as in mallopt(3): what may be free at the end of the heap; from what size a block is outside it."""
THRESHOLD_BYTES = 128 * 1024
"""glibc's own default of both, until a larger block is freed."""


def resident_mb() -> float:
    """Memory of this process that is in use [MB]; the most there ever was where the system tells less."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def give_back() -> None:
    """Let glibc give memory back that is free, always.

    Else it keeps more and more, the larger the blocks that it has seen; and each connection over TLS has one of
    256 kB. The whole process is concerned, so this is for whoever owns it. Elsewhere than with glibc it does nothing.
    """
    with suppress(OSError, AttributeError):
        for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(name, THRESHOLD_BYTES)
