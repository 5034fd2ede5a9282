"""`Debts`: what members have used up of their budgets on links that are over: whoever comes again gets no new burst."""

from __future__ import annotations

from collections.abc import Sequence

REMEMBERED = 8192
"""Keys remembered; twice as many as there can be seats."""


class Debts:
    """When each key has paid back. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._paid: dict[bytes, float] = {}

    def note(self, keys: Sequence[bytes], owed_s: float, now: float) -> None:
        """These have so many seconds to pay back."""
        for key in keys:
            self._paid[key] = max(self._paid.pop(key, now), now + owed_s)
        while len(self._paid) > REMEMBERED:
            del self._paid[next(iter(self._paid))]

    def of(self, keys: Sequence[bytes], now: float) -> float:
        """Seconds until all of these have paid back."""
        return max([0.0, *(self._paid.get(key, now) - now for key in keys)])
