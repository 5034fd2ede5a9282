"""Observation -> state_hash: 64 bits that are the same in every process, Python version and machine.

An observation becomes a byte string that no other observation has (every part carries its type and its
length), which BLAKE2b then hashes to 64 bits. So 3, `np.int64(3)` and `np.array(3)` encode alike, as do a
tuple, a list and an integer array of the same numbers, and `True` and 1, which are one key of a Python dict
too; but 1 and "1" differ, and so do (1, (2, 3)) and ((1, 2), 3).

Two of n states share a hash with probability about n**2 / 2**65: 3e-8 at 1e6 states.
"""

from __future__ import annotations

import functools
import hashlib
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qorum.errors import EncodingError

Encoder = Callable[[Any], int]
"""Observation -> state_hash, 0..2**64-1; raises `EncodingError` for what is no observation of its space."""

_Reduce = Callable[[Any], Any]  # observation -> the nested ints, strings and tuples that are hashed
_UNBOUNDED = 1e30  # some environments write "no bound" as the largest 32-bit float instead of infinity


def hash_observation(obs: Any) -> int:
    """The state_hash of an int, str, bytes, integer array, or of tuples, lists and dicts of such.

    Raises:
        EncodingError: the observation holds something else, such as a float.
    """
    return _hash_int(obs) if type(obs) is int else _hash(obs)


def encode_many(observations: Iterable[Any], encode: Encoder = hash_observation) -> NDArray[np.uint64]:
    """Encode m observations to u64[m]; in an array of integers, each different number is hashed once.

    Raises:
        EncodingError: as `encode` does.
    """
    if isinstance(observations, np.ndarray) and observations.ndim == 1:
        distinct, index = np.unique(observations, return_inverse=True)
        return np.array([encode(obs) for obs in distinct], np.uint64)[index]
    return np.array([encode(obs) for obs in observations], np.uint64)


def _hash(obs: Any) -> int:
    digest = hashlib.blake2b(_canonical(obs), digest_size=8, person=b"qorum state 1").digest()
    return int.from_bytes(digest, "little")


_hash_int = functools.lru_cache(maxsize=2**16)(_hash)  # ints only: a cache takes 1.0 for 1


def _canonical(obs: Any) -> bytes:
    """A self-delimiting byte string, different for different observations."""
    if isinstance(obs, np.generic | np.ndarray):
        obs = obs.tolist()
    if isinstance(obs, int):
        return _tagged(b"i", obs.to_bytes(obs.bit_length() // 8 + 1, "little", signed=True))
    if isinstance(obs, str):
        return _tagged(b"s", obs.encode("utf-8", "surrogatepass"))
    if isinstance(obs, bytes):
        return _tagged(b"b", obs)
    if isinstance(obs, tuple | list):
        return _tagged(b"t", b"".join(map(_canonical, obs)))
    if isinstance(obs, Mapping):
        return _tagged(b"d", b"".join(sorted(_canonical(key) + _canonical(obs[key]) for key in obs)))
    raise EncodingError(
        f"cannot encode {obs!r} of type {type(obs).__name__}; make it of ints, strings and tuples, "
        "or bin real numbers with encoder_for(space, bins=...)"
    )


def _tagged(tag: bytes, payload: bytes) -> bytes:
    return tag + len(payload).to_bytes(8, "little") + payload


# -- Gymnasium spaces -------------------------------------------------------------------------------------


def encoder_for(space: Any, bins: Any = None) -> Encoder:
    """The encoder for a Gymnasium space of Discrete, MultiDiscrete, MultiBinary, Tuple, Dict and Box.

    Where the observation consists of integers its encoding is that of `hash_observation`. A Box of real
    numbers becomes bin indices; a value beyond the end bins counts as in them. A Box of integers needs none.

    Args:
        space: recognised by class name, so any library's spaces of these names and attributes will do.
        bins: for a Box: a number of equal bins between its bounds, or one item per dimension (flattened),
            each a number of bins or the k+1 increasing edges of k bins. For a Tuple, a tuple with the bins of
            each of its spaces; for a Dict, a mapping by key. A plain number holds for all Boxes inside.

    Raises:
        EncodingError: here for a space without an encoding, such as a Box without bins; in use for NaN and
            for an observation that is not of the space.
    """
    reduce = _reduce_for(space, bins)
    return lambda obs: hash_observation(reduce(obs))


def _reduce_for(space: Any, bins: Any) -> _Reduce:
    for base in type(space).__mro__:
        if base.__name__ in _REDUCERS:
            return _REDUCERS[base.__name__](space, bins)
    raise EncodingError(f"no encoding for the space {space}; pass your own function from observation to int")


def _discrete(space: Any, bins: Any) -> _Reduce:
    low = int(getattr(space, "start", 0))
    high = low + int(space.n) - 1

    def reduce(obs: Any) -> int:
        try:
            number = int(obs) if isinstance(obs, np.bool_) else operator.index(obs)
        except TypeError:
            raise EncodingError(f"{obs!r} is not an integer, as {space} has them") from None
        if not low <= number <= high:
            raise EncodingError(f"{number} is outside {low}..{high} of {space}")
        return number

    return reduce


def _integer_array(space: Any, low: ArrayLike, high: ArrayLike) -> _Reduce:
    def reduce(obs: Any) -> Any:
        array = np.asarray(obs)
        if array.dtype.kind not in "iub" or array.shape != space.shape:
            raise EncodingError(f"{obs!r} is no integer array of shape {space.shape}, as {space} has them")
        if np.any(array < low) or np.any(array > high):
            raise EncodingError(f"{obs!r} is out of the bounds of {space}")
        return array

    return reduce


def _multi_discrete(space: Any, bins: Any) -> _Reduce:
    start = getattr(space, "start", 0)
    return _integer_array(space, start, start + space.nvec - 1)


def _multi_binary(space: Any, bins: Any) -> _Reduce:
    return _integer_array(space, 0, 1)


def _tuple(space: Any, bins: Any) -> _Reduce:
    each = bins if isinstance(bins, tuple) else (bins,) * len(space.spaces)
    if len(each) != len(space.spaces):
        raise EncodingError(f"{len(each)} bins for the {len(space.spaces)} spaces of {space}")
    parts = [_reduce_for(part, of_part) for part, of_part in zip(space.spaces, each, strict=True)]

    def reduce(obs: Any) -> tuple[Any, ...]:
        if not isinstance(obs, tuple | list | np.ndarray) or len(obs) != len(parts):
            raise EncodingError(f"{obs!r} is not a tuple of {len(parts)}, as {space} has them")
        return tuple(part(item) for part, item in zip(parts, obs, strict=True))

    return reduce


def _dict(space: Any, bins: Any) -> _Reduce:
    if isinstance(bins, Mapping) and not bins.keys() <= space.spaces.keys():
        raise EncodingError(f"bins for {sorted(bins.keys() - space.spaces.keys())}, which {space} has not")
    parts = {
        key: _reduce_for(part, bins.get(key) if isinstance(bins, Mapping) else bins)
        for key, part in space.spaces.items()
    }

    def reduce(obs: Any) -> dict[Any, Any]:
        if not isinstance(obs, Mapping) or obs.keys() != parts.keys():
            raise EncodingError(f"{obs!r} has not the keys {list(parts)} of {space}")
        return {key: part(obs[key]) for key, part in parts.items()}

    return reduce


def _box(space: Any, bins: Any) -> _Reduce:
    if bins is None and np.dtype(space.dtype).kind in "iu":
        return _integer_array(space, space.low, space.high)
    if bins is None:
        raise EncodingError(f"{space} holds real numbers: pass bins, a number of bins or edges per dimension")
    low, high = np.ravel(space.low).tolist(), np.ravel(space.high).tolist()
    each = [bins] * len(low) if isinstance(bins, int | np.integer) else list(bins)
    if len(each) != len(low):
        raise EncodingError(f"bins for {len(each)} dimensions, {space} has {len(low)}")
    # The end bins have no outer edge, so that whatever is beyond them falls into them.
    inner = [_edges(i, b, *bound)[1:-1] for i, (b, *bound) in enumerate(zip(each, low, high, strict=True))]

    def reduce(obs: Any) -> tuple[int, ...]:
        values = _reals(obs, space.shape).ravel().tolist()
        return tuple(map(bisect_right, inner, values))

    return reduce


_REDUCERS: dict[str, Callable[[Any, Any], _Reduce]] = {
    "Discrete": _discrete,
    "MultiDiscrete": _multi_discrete,
    "MultiBinary": _multi_binary,
    "Tuple": _tuple,
    "Dict": _dict,
    "Box": _box,
}


# -- real numbers -----------------------------------------------------------------------------------------


def _edges(dimension: int, bins: Any, low: float, high: float) -> list[float]:
    """The k+1 edges of k bins of one dimension."""
    if isinstance(bins, int | np.integer):
        _check_bounds(dimension, low, high)
        if bins < 1:
            raise EncodingError(f"dimension {dimension}: {bins} bins, at least 1 is needed")
        return [low + (high - low) * i / bins for i in range(bins + 1)]
    edges = [float(edge) for edge in bins]
    if len(edges) < 2 or not np.all(np.isfinite(edges)) or not all(a < b for a, b in pairwise(edges)):
        raise EncodingError(f"dimension {dimension}: {edges} are not two or more increasing finite edges")
    return edges


def _check_bounds(dimension: int, low: float, high: float) -> None:
    if not -_UNBOUNDED < low < high < _UNBOUNDED:
        raise EncodingError(
            f"dimension {dimension}: cannot divide {low}..{high} into equal bins; give the edges of its bins"
        )


def _reals(obs: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        values = np.asarray(obs, np.float64)
    except (TypeError, ValueError):
        raise EncodingError(f"{obs!r} is not an array of real numbers") from None
    if values.shape != shape:
        raise EncodingError(f"{obs!r} is of shape {values.shape}, not {shape}")
    if np.isnan(values).any():
        raise EncodingError(f"{obs!r} holds NaN")
    return values


class TileCoder:
    """Tile coding: several displaced grids over d real dimensions, one state_hash in each.

    Two observations share the more hashes the nearer they are, so learning generalises smoothly. Tiling t is
    displaced in dimension i by t * (2i + 1) / tilings tile widths, modulo one: the asymmetric displacement
    1, 3, 5, ... of Miller and Glanz, which avoids artefacts along the diagonal (Sutton and Barto,
    "Reinforcement Learning", 2nd edition, section 9.5.4). A value beyond the bounds counts as on them.

    Args:
        low, high: finite bounds, d numbers each.
        bins: tiles per dimension, one number or d of them.
        tilings: how many grids; best a power of two of at least 4d.

    Raises:
        EncodingError: bounds, bins or tilings are malformed; in use for NaN or another shape.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike, bins: int | Sequence[int], tilings: int) -> None:
        self.low, self.high = np.array(low, np.float64, ndmin=1), np.array(high, np.float64, ndmin=1)
        if self.low.ndim != 1 or self.low.shape != self.high.shape:
            raise EncodingError(
                f"low is of shape {self.low.shape}, high of {self.high.shape}: both must be (d,)"
            )
        dimensions = self.low.size
        for i, bounds in enumerate(zip(self.low.tolist(), self.high.tolist(), strict=True)):
            _check_bounds(i, *bounds)
        each = [bins] * dimensions if isinstance(bins, int | np.integer) else list(bins)
        if len(each) != dimensions or min(each, default=0) < 1:
            raise EncodingError(
                f"bins {bins} must be one number >= 1, or one for each of {dimensions} dimensions"
            )
        if tilings < 1:
            raise EncodingError(f"{tilings} tilings, at least 1 is needed")
        self.bins, self.tilings = np.array(each, np.int64), tilings
        steps = np.outer(np.arange(tilings), 2 * np.arange(dimensions) + 1) % tilings
        self._offset = steps / tilings
        # A displaced grid needs one tile more; the other ends at the upper bound itself.
        self._last = np.where(steps > 0, self.bins, self.bins - 1)

    def __call__(self, obs: Any) -> NDArray[np.uint64]:
        """The state_hash in each tiling, u64[tilings], of one observation of d real numbers."""
        values = np.clip(_reals(obs, self.low.shape), self.low, self.high)
        position = (values - self.low) / (self.high - self.low) * self.bins
        tiles = np.minimum(np.floor(position + self._offset).astype(np.int64), self._last)
        return np.array([hash_observation((t, *tile)) for t, tile in enumerate(tiles.tolist())], np.uint64)
