"""What can be played, and by which command."""

from __future__ import annotations

from typing import Any

import pytest

from qorum.errors import ConfigError
from qorum.lab.plan import Plan

SMALL = Plan(task="CliffWalking-v1", members=10, liars=3, steps=600, pace=20.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": 3}, "members is 3"),
        ({"members": 10, "liars": 4}, "liars is 4; 10 members tolerate 0 to 3"),
        ({"steps": 5}, "steps is 5"),
        ({"pace": 0.0}, "pace is 0.0"),
        ({"pace": float("nan")}, "pace is nan"),
        ({"task": "Chess"}, "unknown task 'Chess'"),
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Plan(**fields)


def test_the_command_is_the_one_that_plays_the_plan() -> None:
    assert SMALL.command == (
        "qorum demo --members 10 --liars 3 --task CliffWalking-v1 --steps 600 --pace 20 --seed 0"
    )


def test_members_have_seeds_of_their_own_that_no_other_run_has() -> None:
    seeds = [Plan(seed=seed).seed_of(me) for seed in range(3) for me in range(64)]
    assert len(set(seeds)) == len(seeds)
