"""Figures of few runs: what they are for runs that can be counted on one hand, and how often an interval holds."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.errors import ConfigError
from qorum.lab.statistics import bootstrap_interval, interquartile_mean, mean_steps, power_law

RUNS = st.lists(st.floats(-100, 100), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("runs", "mean"),
    [
        ([3.0], 3.0),
        ([1.0, 5.0], 3.0),
        ([9.0, 0.0, 0.0], 3.0),
        ([100.0, 1.0, 3.0, -100.0], 2.0),
        ([7, 1, 2, 3, 99], 4.0),
        ([-9, -9, 1, 2, 3, 6, 99, 99], 3.0),
    ],
)
def test_the_lowest_and_the_highest_quarter_are_dropped(runs: list[float], mean: float) -> None:
    assert interquartile_mean(runs) == mean


@given(RUNS)
def test_the_mean_is_among_the_runs_and_their_order_is_nothing(runs: list[float]) -> None:
    mean = float(interquartile_mean(runs))
    assert min(runs) - 1e-9 <= mean <= max(runs) + 1e-9
    assert interquartile_mean(runs[::-1]) == mean


def test_each_column_is_trimmed_by_itself() -> None:
    runs = np.array([[0.0, 8.0], [1.0, 4.0], [2.0, 5.0], [50.0, -50.0]])
    assert interquartile_mean(runs).tolist() == [1.5, 4.5]


@pytest.mark.parametrize("runs", [[], [1.0, nan], 3.0])
def test_no_figure_of_nothing(runs: list[float]) -> None:
    with pytest.raises(ConfigError, match="need one or more"):
        interquartile_mean(runs)


@pytest.mark.parametrize(
    ("steps", "mean"),
    [
        ([10, 30, None, 20], 25.0),
        ([10, 30, None, None], None),
        ([10, 20, 30, 40, 50, 60, None, None], 45.0),
        ([10, 20, 30, 40, 50, None, None, None], None),
        ([10, 20, None], None),
        ([10, 20, 60], 30.0),
        ([None], None),
    ],
)
def test_steps_that_more_than_a_quarter_never_took_have_no_mean(steps: list[int | None], mean: float | None) -> None:
    assert mean_steps(steps) == mean


def test_an_interval_is_the_same_for_the_same_seed_and_holds_the_mean() -> None:
    runs = np.random.default_rng(7).normal(size=10)
    low, high = bootstrap_interval([runs], seed=3)
    assert low < interquartile_mean(runs) < high
    assert bootstrap_interval([runs], seed=3).tolist() == [low, high]
    assert bootstrap_interval([runs], seed=4).tolist() != [low, high]


def test_an_interval_of_a_few_percent_too_little_holds_the_truth() -> None:
    """The percentile bootstrap of ten runs is known to be a little narrow; nine of ten must hold the truth."""
    rng = np.random.default_rng(1)
    held = [low <= 0 <= high for low, high in (bootstrap_interval([rng.normal(size=10)], 0, 400) for _ in range(300))]
    assert 0.88 <= np.mean(held) <= 0.98


def test_tasks_are_resampled_apart() -> None:
    """Runs differ little within a task and much between tasks: the interval must not grow with the latter."""
    rng = np.random.default_rng(2)
    easy, hard = 1 + 0.01 * rng.normal(size=8), 0.01 * rng.normal(size=8)
    low, high = bootstrap_interval([easy, hard])
    mixed = bootstrap_interval([np.concatenate([easy, hard])])
    assert low <= interquartile_mean(np.concatenate([easy, hard])) <= high
    assert high - low < 0.5 * (mixed[1] - mixed[0])


def test_tasks_may_have_different_numbers_of_runs() -> None:
    assert bootstrap_interval([[1.0, 2.0, 3.0], [2.0]]).shape == (2,)


def test_curves_are_drawn_whole() -> None:
    runs = np.random.default_rng(5).normal(size=(6, 4, 3))
    assert bootstrap_interval([runs]).shape == (2, 4, 3)
    assert bootstrap_interval([runs])[:, 1, 2].tolist() == bootstrap_interval([runs[:, 1, 2]]).tolist()


def test_one_run_has_an_interval_of_no_width() -> None:
    assert bootstrap_interval([[0.7]]).tolist() == [0.7, 0.7]


@pytest.mark.parametrize("strata", [[], [[]], [[1.0, nan]], [[1.0, inf]]])
def test_an_interval_needs_numbers(strata: list[list[float]]) -> None:
    with pytest.raises(ConfigError):
        bootstrap_interval(strata)
    with pytest.raises(ConfigError, match="0 resamples"):
        bootstrap_interval([[1.0]], resamples=0)


@pytest.mark.parametrize("exponent", [0.5, 0.0, -0.25])
def test_an_exact_power_law_is_found(exponent: float) -> None:
    agents = [1, 8, 64, 593]
    fit = power_law(agents, [[3.0 * n**-exponent] * 5 for n in agents])
    assert fit is not None
    assert fit == pytest.approx((exponent,) * 3)


def test_a_noisy_power_law_is_within_its_interval() -> None:
    rng, agents = np.random.default_rng(11), [1, 8, 64, 256, 593]
    errors = [np.exp(0.1 * rng.normal(size=10)) * n**-0.5 for n in agents]
    fit = power_law(agents, errors, seed=1)
    assert fit is not None
    assert fit.low < fit.exponent < fit.high
    assert fit.low < 0.5 < fit.high
    assert fit.high - fit.low < 0.05
    assert power_law(agents, errors, seed=1) == fit


def test_populations_may_have_different_numbers_of_runs() -> None:
    fit = power_law([1, 100], [[1.0, 1.2, 0.9], [0.1]])
    assert fit is not None
    assert fit.exponent == pytest.approx(np.log10(3.1 / 3 / 0.1) / 2)


@pytest.mark.parametrize(
    ("agents", "errors"), [([], []), ([8], [[0.1]]), ([8, 8], [[0.1], [0.2]]), ([1, 8], [[0.1], [0.2, 0.0]])]
)
def test_there_is_no_exponent_of_one_population_nor_of_exact_tables(
    agents: list[int], errors: list[list[float]]
) -> None:
    assert power_law(agents, errors) is None


@pytest.mark.parametrize(
    ("agents", "errors"), [([1, 8], [[0.1]]), ([0, 8], [[0.1], [0.1]]), ([1, 8], [[-0.1], [0.1]]), ([1], [[]])]
)
def test_an_exponent_of_bad_numbers_is_refused(agents: list[int], errors: list[list[float]]) -> None:
    with pytest.raises(ConfigError):
        power_law(agents, errors)
