"""A figure measured in several runs: its middle, its spread, and how they are written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def summary(runs: NDArray[np.float64]) -> dict[str, float]:
    """f64[R], R >= 1 -> mean with its standard error, median with the quartiles around it."""
    lower, median, upper = np.quantile(runs, (0.25, 0.5, 0.75)).tolist()
    deviation = float(runs.std(ddof=1)) if len(runs) > 1 else 0.0
    return {
        "mean": float(runs.mean()),
        "standard_error": deviation / len(runs) ** 0.5,
        "median": median,
        "lower_quartile": lower,
        "upper_quartile": upper,
    }


def spaced(count: int, points: int) -> list[int]:
    """About `points` of the indices 0..count-1, first and last among them, evenly spaced on a logarithmic axis."""
    return sorted({round(at) - 1 for at in np.geomspace(1, count, points).tolist()})


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, never as a power of ten: 0.00105, 1,000."""
    decimals = digits - 1 - int(np.floor(np.log10(abs(value)))) if value else 0
    return f"{value:,.{max(0, decimals)}f}"


def middle(row: dict[str, float]) -> str:
    """What `summary` found, as HTML: the median, and under it the quartiles."""
    low, high = number(row["lower_quartile"], 2), number(row["upper_quartile"], 2)
    return f'{number(row["median"])}<br/><span class="quiet">{low}\u2013{high}</span>'
