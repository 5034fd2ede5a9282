"""Tasks by name."""

from __future__ import annotations

import re
from collections.abc import Callable

from qorum.errors import ConfigError
from qorum.lab.tasks.garnet import garnet
from qorum.lab.tasks.riverswim import riverswim
from qorum.lab.tasks.task import Task
from qorum.lab.tasks.toy_text import TOY_TEXT, toy_text
from qorum.lab.tasks.two_state import two_state


def load(name: str) -> Task:
    """The task of that name: one of `KNOWN`, or with other sizes or another seed: `GARNET(50,2,3)#7`, `TwoState(4)`.

    Raises:
        ConfigError: no such task; the message lists the known ones. Or sizes that a task cannot have.
        MissingExtra: the task is a Gymnasium environment, and Gymnasium is not installed.
    """
    if name in TOY_TEXT:
        return toy_text(name)
    if name in _FIXED:
        return _FIXED[name]()
    drawn = re.fullmatch(r"(\w+)\((\d+(?:,\d+)*)\)(?:#(\d+))?", name, re.ASCII)
    if drawn and drawn[1] in _DRAWN:
        sizes = [int(size) for size in drawn[2].split(",")]
        count, draw = _DRAWN[drawn[1]]
        if len(sizes) == count:
            return draw(*sizes, seed=int(drawn[3] or 0))
    raise ConfigError(
        f"unknown task {name!r}; known tasks: {', '.join(KNOWN)}; in brackets any sizes go, #1, #2, ... draw others"
    )


def _handover() -> Task:
    from qorum.lab.tasks.handover import handover  # needs Gymnasium

    return handover()


def _cell_sleep() -> Task:
    from qorum.lab.tasks.cell_sleep import cell_sleep  # needs Gymnasium

    return cell_sleep()


_FIXED: dict[str, Callable[[], Task]] = {
    "RiverSwim-6": riverswim,
    "Handover": _handover,
    "CellSleep": _cell_sleep,
}
_DRAWN: dict[str, tuple[int, Callable[..., Task]]] = {"GARNET": (3, garnet), "TwoState": (1, two_state)}
"""Name -> how many sizes it has in brackets, and what draws it."""

KNOWN = (*TOY_TEXT, *_FIXED, "GARNET(100,4,5)", "TwoState(20)")
"""Names that `load` takes, for messages and help."""
