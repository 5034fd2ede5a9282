"""`Timers`: a member's timers on the event loop. On a machine that cannot keep up they grow longer.

A process that hosts many members, or shares its processors, may handle a timer long after it was due. What others have
answered meanwhile lies unread, and to ask them again makes everybody later still. So whoever was late waits as much
longer the next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qorum.core.effects import SetTimer, Timer

PATIENCE = 4
"""How many times the last delay of its own a member adds to a wait."""


class Timers:
    """Of each name the newest alone counts."""

    def __init__(self, fire: Callable[[SetTimer], None]) -> None:
        """fire: what to do with a timer that is due."""
        self._fire = fire
        self._set: dict[Timer, tuple[SetTimer, asyncio.TimerHandle]] = {}
        self.late_s = 0.0
        """How late the last timer was."""

    def set(self, loop: asyncio.AbstractEventLoop, timer: SetTimer) -> None:
        """Fire it once its time has passed."""
        _, before = self._set.get(timer.name, (None, None))
        if before is not None:
            before.cancel()
        delay = timer.delay + PATIENCE * self.late_s
        # Not `call_at`: by then its time may have passed, which the loop of browsers does not take.
        self._set[timer.name] = timer, loop.call_later(delay, self._due, loop, timer, loop.time() + delay)

    def hasten(self, name: Timer) -> None:
        """What a timer waits for will not come: let it fire at once, if it is set."""
        timer, handle = self._set.pop(name, (None, None))
        if timer is not None and handle is not None:
            handle.cancel()
            self._fire(timer)

    def cancel(self) -> None:
        """Forget all."""
        for _, handle in self._set.values():
            handle.cancel()
        self._set.clear()

    def _due(self, loop: asyncio.AbstractEventLoop, timer: SetTimer, due: float) -> None:
        self._set.pop(timer.name, None)
        self.late_s = max(loop.time() - due, 0.0)
        self._fire(timer)
