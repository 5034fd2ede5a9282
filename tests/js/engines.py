"""What tests of JavaScript need of this machine."""

from __future__ import annotations

import os

import pytest

from qorum.errors import ConfigError
from qorum.lab.browser.consoles import BROWSERS, program

ENGINES = pytest.mark.parametrize("engine", ["node", "chromium"])


def needs(*programs: str) -> None:
    """Skip the test if one of these is not here; in CI it fails."""
    for name in programs:
        try:
            program(*BROWSERS if name == "chromium" else [name])
        except ConfigError as error:
            if os.environ.get("CI"):
                pytest.fail(f"CI has to have it: {error}")
            pytest.skip(str(error))
