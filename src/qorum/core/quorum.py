"""Quorum sizes, computed in this one place."""

from __future__ import annotations

from typing import NamedTuple

THIRD = 0.33  # a threshold from here on means a third
ROUNDING = 1e-9  # 0.29 of 100 members is 29, though the floats multiply to 28.999999999999996


class Quorum(NamedTuple):
    """How many members there are, may lie, and must agree."""

    members: int
    tolerated: int
    """f: members that may lie."""
    size: int
    """q: votes that decide. Any two quorums share an honest member: 2q - n > f."""
    crash_only: bool
    """No member is expected to lie; more than half decides."""

    @classmethod
    def of(cls, members: int, byzantine_threshold: float) -> Quorum:
        """Sizes for `members` >= 1 and a threshold in [0, 1/3].

        q is n - f, not 2f + 1: with n = 593 two sets of 395 can share 197 members, all of them lying.
        """
        if byzantine_threshold == 0:
            return cls(members, 0, members // 2 + 1, crash_only=True)
        third = (members - 1) // 3
        share = int(byzantine_threshold * members + ROUNDING)
        tolerated = third if byzantine_threshold >= THIRD else min(third, share)
        return cls(members, tolerated, members - tolerated, crash_only=False)
