"""Extreme high: the largest value that can be stated, for every cell, with as many visits as can be claimed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qorum.config import VALUE_BOUND
from qorum.evidence import Evidence

CLAIMED_VISITS = 4096


def extreme_high(evidence: Evidence) -> Evidence:
    """The evidence with every value at the upper bound and inflated visits."""
    return replace(
        evidence,
        value=np.full(len(evidence), VALUE_BOUND),
        visits=np.full(len(evidence), CLAIMED_VISITS, dtype=np.int64),
        spread=np.zeros(len(evidence)),
    )
