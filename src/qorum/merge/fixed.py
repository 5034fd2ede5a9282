"""Fixed point: the arithmetic of everything that members vote on.

A value is an int64 in units of 2^-20. There are no float sums and no libm calls, so every CPU and WebAssembly
computes the same bits. Division rounds half to even; roots and powers use integer algorithms.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qorum.errors import TableError

ONE = 1 << 20
VALUE_LIMIT = 1 << 40  # |q| <= 2^20 as fixed point
POWER_ONE = 1 << 30  # unit of probabilities in `power`; the product of two fits int64
WEIGHT_LIMIT = (1 << 23) - 1  # sum of visits that keeps sum(visits * value) below 2^63

Ints = NDArray[np.int64]


Number = TypeVar("Number", bound=np.integer)


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """The values that occur, ascending: `np.unique`, which would load `numpy.ma` for this and two megabytes with it."""
    ascending = np.sort(values, axis=None)
    is_first = np.append(True, ascending[1:] != ascending[:-1])[: ascending.size]
    return np.asarray(ascending[is_first])


def visit_cap(n_members: int) -> int:
    """Most visits one register may carry, so that n of them times the largest value stay inside int64."""
    return min(4096, WEIGHT_LIMIT // n_members)


def to_fixed(values: ArrayLike) -> Ints:
    """Floats to fixed point, rounded half to even: the one place where a float is rounded, by its author.

    Raises `TableError` for NaN, infinities and |value| > 2^20.
    """
    floats = np.asarray(values, dtype=np.float64)
    bad = ~(np.abs(floats) <= VALUE_LIMIT / ONE)
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise TableError(f"value {floats.flat[where]} at row {where} is not a finite number within ±2^20")
    return np.rint(floats * ONE).astype(np.int64)


def to_float(fixed: ArrayLike) -> NDArray[np.float64]:
    """Fixed point to float64; exact, since 41 bits fit its mantissa."""
    return np.asarray(fixed, dtype=np.int64) / ONE


def divide(numerator: ArrayLike, denominator: ArrayLike) -> Ints:
    """numerator / denominator rounded half to even; denominator > 0 and below 2^62."""
    divisor = np.asarray(denominator, np.int64)
    quotient, rest = np.divmod(np.asarray(numerator, np.int64), divisor)
    twice = 2 * rest
    up = (twice > divisor) | ((twice == divisor) & (quotient & 1 == 1))
    return np.asarray(quotient + up, dtype=np.int64)


def isqrt(values: ArrayLike) -> Ints:
    """Floor of the square root of each value, 0 <= value < 2^62, exact.

    IEEE 754 rounds a hardware root correctly, but a 62-bit integer has to be rounded to a float first; one
    step of correction either way makes the answer exact on every machine.
    """
    x = np.asarray(values, dtype=np.int64)
    root = np.sqrt(x.astype(np.float64)).astype(np.int64)
    root -= root * root > x
    root += (root + 1) * (root + 1) <= x
    return np.asarray(root)


def power(base: int, exponents: ArrayLike) -> Ints:
    """base^exponent in units of 2^-30, by squaring, each product rounded half to even; 0 <= base <= 2^30."""
    left = np.asarray(exponents, dtype=np.int64).copy()
    result = np.full(left.shape, POWER_ONE, dtype=np.int64)
    square = np.asarray(base, dtype=np.int64)
    while left.any():
        result = np.where(left & 1, divide(result * square, POWER_ONE), result)
        square = divide(square * square, POWER_ONE)
        left >>= 1
    return result


def scale(values: ArrayLike, fraction: ArrayLike, unit: int = ONE) -> Ints:
    """values * fraction / unit, rounded half to even; the caller keeps the product below 2^63."""
    return divide(np.asarray(values, np.int64) * np.asarray(fraction, np.int64), unit)
