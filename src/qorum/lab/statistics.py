"""Figures of few runs: the interquartile mean, its bootstrap interval, and the exponent of a power law.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021,
arXiv 2108.13264: report the interquartile mean of all runs, with a percentile bootstrap interval for which the runs of
each task are resampled apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qorum.errors import ConfigError

Floats = NDArray[np.float64]
RESAMPLES = 2_000
LEVEL = 0.95


class PowerLaw(NamedTuple):
    """error = constant * agents^-exponent, with the 95 % interval of the exponent."""

    exponent: float
    low: float
    high: float


def interquartile_mean(runs: ArrayLike) -> Floats:
    """The mean of the runs that are left without the lowest and the highest quarter.

    Of R runs the floor(R/4) lowest and as many of the highest are dropped, each in its own column; so of fewer than
    four runs nothing is dropped, and the figure is their mean. An infinite run counts as the highest.

    Args:
        runs: f64[R, ...], R >= 1.

    Returns:
        f64[...]; infinite where a run that was not dropped is.

    Raises:
        ConfigError: no runs, or one is NaN.
    """
    return _trimmed_mean(_runs(runs), axis=0)


def bootstrap_interval(strata: Sequence[ArrayLike], seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """The 95 % interval of the interquartile mean over all runs of all strata, by percentile bootstrap.

    Each resample draws as many runs of every stratum (a task, usually) as it has, with replacement; a run is drawn
    whole, so the points of a curve belong together. One run a stratum gives an interval of no width: it says nothing.

    Args:
        strata: f64[R_i, ...], R_i >= 1, alike but for R_i; a single one is the plain bootstrap.
        seed: fixes the draws.
        resamples: 1 or more; memory is 16 bytes * resamples * all that `strata` holds.

    Returns:
        f64[2, ...]: the 2.5 % and the 97.5 % quantile of the resampled figures.

    Raises:
        ConfigError: no strata, no runs in one of them, a run that is NaN or infinite, or no resamples.
    """
    drawn = _resampled([_finite(runs) for runs in strata], seed, resamples)
    return _quantiles(_trimmed_mean(np.concatenate(drawn, axis=1), axis=1))


def mean_steps(steps: Sequence[int | None]) -> float | None:
    """The interquartile mean of the steps that runs took to a level; None stands for a run that never reached it.

    Never is later than every number, so such runs are the first that the interquartile mean drops.

    Returns:
        None if more than a quarter of the runs never reached the level: then no number would be true.

    Raises:
        ConfigError: no runs.
    """
    mean = float(interquartile_mean([inf if reached is None else reached for reached in steps]))
    return None if mean == inf else mean


def power_law(
    agents: Sequence[int], errors: Sequence[ArrayLike], seed: int = 0, resamples: int = RESAMPLES
) -> PowerLaw | None:
    """Fit error = constant * agents^-exponent: the least-squares line through log(agents), log(interquartile mean).

    The interval resamples the runs of each population apart. An exponent of 0.5 is what averaging independent errors
    gives, 0 is no help from more agents.

    Args:
        agents: numbers of agents, 1 or more.
        errors: for each number f64[R_i], the errors of its runs, 0 or more.
        seed: fixes the draws.

    Returns:
        None where no line can be drawn: fewer than two different numbers, or a run without any error.

    Raises:
        ConfigError: lengths differ, no runs, a negative or non-finite error, or a number below 1.
    """
    runs = [_finite(column) for column in errors]
    if len(agents) != len(runs) or min(agents, default=1) < 1 or any(column.min() < 0 for column in runs):
        raise ConfigError(f"agents {list(agents)}: need numbers >= 1, and errors >= 0 for each of them")
    if len(set(agents)) < 2 or any(column.min() == 0 for column in runs):
        return None
    fitted = _exponents(agents, [_trimmed_mean(column, axis=0) for column in runs])
    drawn = _exponents(agents, [_trimmed_mean(column, axis=1) for column in _resampled(runs, seed, resamples)])
    low, high = _quantiles(drawn)
    return PowerLaw(float(fitted), float(low), float(high))


def _exponents(agents: Sequence[int], errors: Sequence[Floats]) -> Floats:
    """Minus the slope of the least-squares line; errors f64[...] for each number of agents -> f64[...]."""
    x = np.log(agents)
    weight = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return np.asarray(-np.tensordot(weight, np.log(np.stack(errors)), axes=1))


def _resampled(strata: Sequence[Floats], seed: int, resamples: int) -> list[Floats]:
    """For each stratum f64[R, ...] -> f64[resamples, R, ...], its runs drawn with replacement."""
    if not strata or resamples < 1:
        raise ConfigError(f"{len(strata)} strata, {resamples} resamples: a bootstrap needs one or more of each")
    rng = np.random.default_rng(seed)
    return [runs[rng.integers(len(runs), size=(resamples, len(runs)))] for runs in strata]


def _trimmed_mean(runs: Floats, axis: int) -> Floats:
    count = runs.shape[axis]
    kept = np.arange(count // 4, count - count // 4)
    return np.asarray(np.sort(runs, axis=axis).take(kept, axis=axis).mean(axis=axis))


def _quantiles(drawn: Floats) -> Floats:
    return np.asarray(np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0))


def _finite(runs: ArrayLike) -> Floats:
    checked = _runs(runs)
    if not np.isfinite(checked).all():
        raise ConfigError("a run is infinite: a bootstrap interval needs numbers; leave out what never came")
    return checked


def _runs(runs: ArrayLike) -> Floats:
    checked = np.asarray(runs, dtype=np.float64)
    if checked.ndim < 1 or len(checked) < 1 or np.isnan(checked).any():
        raise ConfigError(f"runs of shape {checked.shape}: need one or more, and none of them NaN")
    return checked
