"""Standing: whose registers count, given who accuses whom.

Two ways out, of different speed. A member that more than f others accuse is excluded: one of its accusers is honest.
That takes f + 1 witnesses, which a lie told in few places has only after very many steps. So there is a faster one:
whoever stakes its own standing against another's leaves the merge together with it. One of two who contradict each
other lies, so every such pair holds a liar, there are at most f of them, and at least n - 2f members go on; a lie lives
until the first of these meets it. When one of a pair is excluded later, the other counts again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Standing:
    """Who is out, and why."""

    excluded: Bools
    """bool[n], accused by more than f, or an outlier."""
    paired: Bools
    """bool[n], in an open dispute with another one in here; an even number of them."""

    @property
    def out(self) -> Bools:
        """bool[n], whose registers do not count."""
        return self.excluded | self.paired


def excluded(masks: Bools, tolerated: int) -> Bools:
    """Members accused by more than f masks, all masks counting. masks: bool[n accusers, n accused].

    Where no liar is tolerated nobody is excluded: one word against another convicts neither.
    """
    return np.asarray((masks.sum(axis=0) > tolerated) & (tolerated > 0))


def standing(masks: Bools, stakes: Bools, outliers: Bools, tolerated: int) -> Standing:
    """Whose registers count.

    Args:
        masks, stakes: bool[n, n], whom each member accuses, and against whom it stakes its standing.
        outliers: bool[n], see `outliers.outliers`.
        tolerated: f; where it is 0 everybody counts.
    """
    gone = excluded(masks, tolerated) | (outliers & (tolerated > 0))
    return Standing(gone, _paired((stakes | stakes.T) & (tolerated > 0), ~gone))


def _paired(disputes: Bools, free: Bools) -> Bools:
    """A maximal matching: members in turn, each with the first opponent that is free. Two who are left agree."""
    free, before = free.copy(), free
    for member in np.flatnonzero((disputes & free).any(axis=1) & free).tolist():
        if free[member]:
            opponents = disputes[member] & free
            opponents[member] = False
            first = opponents.argmax()
            if opponents[first]:
                free[member] = free[first] = False
    return before & ~free
