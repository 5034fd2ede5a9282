"""The memory of a process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from qorum.node.memory import resident_mb

HELD_MB = 64.0
SCENE = """
from qorum.node.memory import give_back, resident_mb
large = bytearray(24_000_000)  # after which glibc keeps blocks of up to 24 MB
del large
give_back()
before = resident_mb()
blocks = [b"x" * 200_000 for _ in range(320)]
held = resident_mb() - before
del blocks
print(held, resident_mb() - before)
"""


def test_what_is_in_use_is_told_in_mb() -> None:
    before = resident_mb()
    held = b"x" * int(HELD_MB * 1e6)
    assert resident_mb() - before == pytest.approx(HELD_MB, rel=0.2)
    del held


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc keeps memory that is free, and can be told not to"
)
def test_what_is_free_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", SCENE], capture_output=True, text=True, check=True, timeout=60)
    held, kept = map(float, done.stdout.split())
    assert held > 0.9 * HELD_MB
    assert kept < 0.1 * HELD_MB
