"""`Backoff`: how long to wait before trying again: longer each time, and never in step with others."""

from __future__ import annotations

from random import Random

FIRST_S = 0.1
LONGEST_S = 10.0


class Backoff:
    """Waits between attempts. Their bounds double from 0.1 s to 10 s; each wait is drawn from the upper half."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._bound = FIRST_S

    def next(self) -> float:
        """The next wait [s]."""
        bound, self._bound = self._bound, min(2 * self._bound, LONGEST_S)
        return self._random.uniform(bound / 2, bound)

    def reset(self) -> None:
        """It worked: begin anew."""
        self._bound = FIRST_S
