"""What the attack states."""

from __future__ import annotations

import numpy as np

from qorum.evidence import Evidence
from qorum.lab.attacks.extreme_high import extreme_high

EVIDENCE = Evidence(
    state_hash=np.array([1, 2], np.uint64),
    action=np.array([0, 1], np.uint8),
    value=np.array([1.5, -2.0]),
    visits=np.array([3, 1]),
    spread=np.array([0.5, 0.0]),
)


def test_values_and_visits_are_as_high_as_can_be_stated() -> None:
    lie = extreme_high(EVIDENCE)
    assert lie.value.tolist() == [2.0**20] * 2
    assert lie.visits.tolist() == [4096] * 2
    assert lie.spread.tolist() == [0.0, 0.0]
    assert EVIDENCE.value.tolist() == [1.5, -2.0]
