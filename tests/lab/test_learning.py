"""The learning benchmark reports what happened."""

from __future__ import annotations

import pytest

from qorum.errors import ConfigError
from qorum.lab.learning import learning_bench


def test_the_curve_and_the_steps_to_each_level() -> None:
    shares: list[float] = []
    result = learning_bench("CliffWalking-v1", 32, 400, 20, 0, shares.append)
    assert [steps for steps, _ in result["curve"]] == list(range(20, 401, 20))
    assert result["normalised_value"] == result["curve"][-1][1] > 0.99
    assert result["steps_to_90"] <= result["steps_to_99"] <= result["steps_to_optimum"] <= 400
    assert shares[-1] == 1.0


def test_what_was_not_reached_is_none() -> None:
    assert learning_bench("Taxi-v4", 2, 40, 20, 0)["steps_to_90"] is None


@pytest.mark.parametrize(("steps", "every"), [(10, 20), (10, 0)])
def test_steps_that_do_not_fit_are_refused(steps: int, every: int) -> None:
    with pytest.raises(ConfigError, match="sync every"):
        learning_bench("Taxi-v4", 2, steps, every, 0)
