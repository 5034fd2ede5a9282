"""What all tests share: how hard hypothesis tries. HYPOTHESIS_PROFILE chooses; examples never vary by run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: it would measure how busy the machine is.
settings.register_profile(
    "quick",
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("quick"), max_examples=300, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
