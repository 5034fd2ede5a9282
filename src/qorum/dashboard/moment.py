"""`Moment`: one word of what the dashboard is told, live or from a recording."""

from __future__ import annotations

import msgspec

from qorum.dashboard.scene import Scene
from qorum.dashboard.timeline import Course


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to see at one time."""

    clock_s: float
    """On the clock of the courses."""
    scene: Scene
    courses: list[Course]
    """Of the newest rounds."""
    alerts: list[str]
