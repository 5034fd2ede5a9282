"""`Conduct`: how members have behaved towards this node, by key: whoever errs too often is refused for a while."""

from __future__ import annotations

from collections.abc import Iterable

from qorum.node.budget import Bucket

FORGIVEN_S = 10.0
"""Seconds after which one error is forgiven."""
REMEMBERED = 8192
"""Keys remembered; twice as many as there can be seats, so that guests do not crowd out members for long."""


class Conduct:
    """Errors and refusals of each key. Times are seconds of one monotonic clock."""

    def __init__(self, errors: int, refuse_s: float) -> None:
        """errors: how many in a row are forgiven. refuse_s: how long who made more is refused [s]."""
        self._burst, self._refuse_s = errors, refuse_s
        self._errors: dict[bytes, Bucket] = {}
        self._until: dict[bytes, float] = {}

    def err(self, keys: Iterable[bytes], now: float) -> None:
        """Charge an error to each of these; those for whom it is one too many are refused from now on."""
        for key in keys:
            budget = self._errors.setdefault(key, Bucket(1 / FORGIVEN_S, self._burst, now))
            if not budget.take(1, now):
                self.refuse((key,), now)
        _forget(self._errors)

    def refuse(self, keys: Iterable[bytes], now: float) -> None:
        """Refuse them for a while."""
        for key in keys:
            self._until[key] = now + self._refuse_s
        _forget(self._until)

    def refuses(self, key: bytes, now: float) -> bool:
        """Whether this one is refused now."""
        return self._until.get(key, now) > now

    def remaining(self, keys: Iterable[bytes], now: float) -> float:
        """Seconds until the first of these is welcome again; 0 if one is."""
        return max(min(self._until.get(key, now) - now for key in keys), 0.0)


def _forget(memory: dict[bytes, Bucket] | dict[bytes, float]) -> None:
    while len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
