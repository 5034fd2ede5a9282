"""Sorting inside many small groups at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qorum.merge.fixed import Ints

PAD = np.iinfo(np.int64).max
SIZE_CLASSES = 8


def ranked(values: Ints, sizes: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Sort consecutive groups of values; groups of similar size go together, for one by one is slow.

    Args:
        values: int64[sum(sizes)], below `PAD`.
        sizes: int64[G], length of each group, 0 or more.

    Yields:
        (groups, rows): int64[g] indices of groups and int64[g, width] their values, ascending, `PAD` after
        the last. Every group of size > 0 comes once.
    """
    largest = int(sizes.max(initial=0))
    if largest == sizes.min(initial=largest):
        if largest:
            yield np.arange(len(sizes)), np.sort(values.reshape(len(sizes), largest), axis=1)
        return
    starts = np.cumsum(sizes) - sizes
    classes = -(-sizes * SIZE_CLASSES // largest)
    for size_class in range(1, SIZE_CLASSES + 1):
        groups = np.flatnonzero(classes == size_class)
        if len(groups):
            place = np.arange(sizes[groups].max())
            rows = values.take(starts[groups, None] + place, mode="clip")
            rows[place >= sizes[groups, None]] = PAD
            rows.sort(axis=1)
            yield groups, rows
