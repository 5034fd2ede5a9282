"""`Pace`: when a member contributes of its own accord: after enough interactions, or after the interval.

Waits are lengthened at random, so that members do not speak all at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from qorum.core.table import FederatedQTable


class Pace:
    """One member's plan to contribute. Runs in the event loop."""

    def __init__(self, table: FederatedQTable, contribute: Callable[[], None], random: Random) -> None:
        """contribute: say what is new, if there is anything, and that it was `contributed`."""
        config = table.config
        self._table, self._contribute, self._random = table, contribute, random
        self._interval, self._jitter = config.sync_interval_ms / 1000, config.sync_jitter
        self._haste = config.sync_jitter * config.collect_ms / 1000
        """Longest wait before a member joins a round, or says what is due [s]."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """None while stopped."""
        self._due: asyncio.TimerHandle | None = None
        """A contribution that will be made soon."""
        self._alarm: asyncio.TimerHandle | None = None
        """The end of the interval."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with a whole interval."""
        self._loop = loop
        self._set_alarm()
        self.lived()

    def stop(self) -> None:
        """Make no more plans."""
        self._loop = None
        self._cancel()
        if self._alarm is not None:
            self._alarm.cancel()

    def lived(self) -> None:
        """The agent has learned: plan a contribution if that makes enough interactions."""
        due = self._table.next_due
        if due is not None and self._due is None and self._table.agent.interactions >= due:
            self._due = self.soon(self._contribute)

    def soon(self, action: Callable[[], None]) -> asyncio.TimerHandle | None:
        """Do something at a random moment within the jitter."""
        if self._loop is None:
            return None
        return self._loop.call_later(self._random.uniform(0, self._haste), action)

    def contributed(self) -> None:
        """A contribution was made: wait for the next."""
        self._cancel()
        self._set_alarm()

    def _cancel(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._loop is not None:
            delay = self._interval * (1 + self._jitter * self._random.random())
            self._alarm = self._loop.call_later(delay, self._interval_over)

    def _interval_over(self) -> None:
        self._set_alarm()
        if self._table.has_news:
            self._contribute()
