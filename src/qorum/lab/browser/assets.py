"""`built`: the files of the agent for browsers, made where they are missing or out of date."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from qorum.errors import ConfigError
from qorum.node.site import BUILT

SCRIPT = BUILT.parent / "build.py"
BUILD_S = 900.0


def built() -> Path:
    """The folder. Raises `ConfigError` outside of a clone, and where npm is missing or fails."""
    if not SCRIPT.exists():
        raise ConfigError(f"{SCRIPT} is missing: the agent for browsers is built in a clone of qorum")
    if shutil.which("npm") is None:
        raise ConfigError("the agent for browsers is built by npm: install Node.js 20 or newer, which brings it")
    outside = getattr(sys, "_base_executable", sys.executable)  # a virtual environment may have no pip
    done = subprocess.run([outside, SCRIPT], capture_output=True, text=True, timeout=BUILD_S)
    if done.returncode:
        raise ConfigError(f"the agent for browsers cannot be built: {done.stderr.strip() or done.stdout.strip()}")
    return BUILT
