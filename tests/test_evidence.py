"""Evidence refuses columns the merge could not read, and compares by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qorum.errors import EvidenceError
from qorum.evidence import Evidence


def columns(**other: Any) -> dict[str, Any]:
    return {
        "state_hash": np.array([1, 1, 2**64 - 1], np.uint64),
        "action": np.array([0, 3, 0], np.uint8),
        "value": np.array([0.5, -1.0, 2.0]),
        "visits": np.array([4, 1, 2]),
        "spread": np.array([0.1, 0.0, 0.3]),
    } | other


def test_equal_by_value() -> None:
    assert Evidence(**columns()) == Evidence(**columns())
    assert Evidence(**columns()) != Evidence(**columns(spread=np.zeros(3)))
    assert Evidence(**columns()) != 3
    assert len(Evidence(**columns())) == 3


def test_empty() -> None:
    assert len(Evidence.empty()) == 0
    assert Evidence.empty() == Evidence.empty()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("value", np.zeros(2)),
        ("value", np.zeros(3, np.float32)),
        ("visits", np.zeros((3, 1), np.int64)),
        ("state_hash", np.zeros(3, np.int64)),
    ],
)
def test_wrong_column_is_named(name: str, column: Any) -> None:
    with pytest.raises(EvidenceError, match=name):
        Evidence(**columns(**{name: column}))


@pytest.mark.parametrize("actions", [[3, 0, 0], [3, 3, 0]])
def test_cells_must_increase(actions: list[int]) -> None:
    with pytest.raises(EvidenceError, match="sorted"):
        Evidence(**columns(action=np.array(actions, np.uint8)))
