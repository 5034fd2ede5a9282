"""Agents in processes of their own, through `qorum.join`, next to the lab."""

from __future__ import annotations

import pytest

from qorum.errors import ConfigError
from qorum.lab.joining import Course, in_short, join_bench


def test_agents_that_join_real_nodes_learn_as_in_the_lab() -> None:
    shares: list[float] = []
    course = Course("CliffWalking-v1", 600, agents=4)
    result = join_bench([course], seeds=1, lab_seeds=5, progress=shares.append)
    [row] = result["rows"]
    assert row["curve_steps"] == list(range(20, 601, 20))
    assert (len(row["joined"]), len(row["lab"])) == (1, 5)
    assert max(row["joined"][0]) > 0.9, "they learn"
    assert row["within"] > 0.5
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(in_short(result)) == 9


@pytest.mark.parametrize("fields", [{"agents": 3}, {"sync_every": 70}, {"sync_every": 0}, {"task": "none"}])
def test_a_course_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Course(**{"task": "CliffWalking-v1", "steps": 240, **fields})  # type: ignore[arg-type]
