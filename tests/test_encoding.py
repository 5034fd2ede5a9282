"""state_hash is stable (golden numbers), injective where it should be, and refuses what is no observation."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from qorum.encoding import TileCoder, encode_many, encoder_for, hash_observation
from qorum.errors import EncodingError

GOLDEN: list[tuple[Any, int]] = [
    (0, 5904714611914122783),
    (3, 10885490775393033269),
    (-1, 11751517771921154138),
    (2**64, 16286435518700515872),
    ("1", 14341820244947748072),
    (b"1", 10306616633547987136),
    ((), 706136373954768052),
    ((1, 2, 3), 10058813149970451969),
    ((1, (2, 3)), 1545785539099920418),
    ({"position": (1, 2), "seen": 0}, 8896994888763819403),
]

# Without True and False, which are meant to be 1 and 0.
observations = st.recursive(
    st.integers() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(("obs", "expected"), GOLDEN)
def test_golden(obs: Any, expected: int) -> None:
    assert hash_observation(obs) == expected


def test_the_same_in_another_process_and_hash_seed() -> None:
    code = "from qorum.encoding import hash_observation as h; print(h({'a': (1, 'x'), 'b': 2}), h(7))"
    other = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=other, capture_output=True, text=True, check=True)
    assert out.stdout.split() == [
        str(hash_observation({"a": (1, "x"), "b": 2})),
        str(hash_observation(7)),
    ]


@given(observations, observations)
def test_injective(one: Any, other: Any) -> None:
    assert (hash_observation(one) == hash_observation(other)) == (one == other)


def test_nesting_and_types_are_part_of_an_observation() -> None:
    alike = [1, "1", b"1", (1,), ((1,),), (1, (2, 3)), ((1, 2), 3), (1, 2, 3), {}, (), "", b""]
    assert len({hash_observation(obs) for obs in alike}) == len(alike)


@pytest.mark.parametrize("three", [np.int64(3), np.uint8(3), np.array(3)])
def test_numpy_scalars_are_ints(three: Any) -> None:
    assert hash_observation(three) == hash_observation(3)


def test_arrays_lists_and_bools_are_what_they_hold() -> None:
    assert hash_observation(np.array([1, 2])) == hash_observation([1, 2]) == hash_observation((1, 2))
    assert hash_observation(np.array([[1], [2]])) == hash_observation(((1,), (2,)))
    assert hash_observation(True) == hash_observation(np.True_) == hash_observation(1)
    assert hash_observation((0, False)) == hash_observation((False, 0))


def test_order_of_a_dict_does_not_matter() -> None:
    assert hash_observation({"a": 1, "b": 2}) == hash_observation({"b": 2, "a": 1})


@pytest.mark.parametrize("obs", [1.0, (1, 0.5), np.array([0.5]), None, {1, 2}, np.float32(1)])
def test_other_types_are_refused_even_after_an_equal_int(obs: Any) -> None:
    hash_observation(1)
    with pytest.raises(EncodingError, match="cannot encode"):
        hash_observation(obs)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_encode_many(numbers: list[int]) -> None:
    expected = [hash_observation(n) for n in numbers]
    assert encode_many(np.array(numbers, np.int64)).tolist() == expected
    assert encode_many(numbers).tolist() == expected


def test_encode_many_rows() -> None:
    rows = np.array([[1, 2], [3, 4]])
    assert encode_many(rows).tolist() == [hash_observation((1, 2)), hash_observation((3, 4))]


# -- spaces -----------------------------------------------------------------------------------------------

INTEGER_SPACES = [
    spaces.Discrete(5),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiDiscrete([2, 3], start=[-1, 5]),
    spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
    spaces.MultiBinary(3),
    spaces.MultiBinary([2, 2]),
    spaces.Box(-2, 2, (2,), np.int8),
    spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)]),
    spaces.Dict(b=spaces.Discrete(3), a=spaces.Tuple([spaces.Discrete(2)])),
]


@pytest.mark.parametrize("space", INTEGER_SPACES, ids=str)
def test_integer_observations_encode_as_without_a_space(space: Any) -> None:
    encode = encoder_for(space)
    space.seed(1)
    for _ in range(20):
        obs = space.sample()
        assert encode(obs) == hash_observation(obs)


def test_discrete_respects_start() -> None:
    encode = encoder_for(spaces.Discrete(3, start=10))
    assert encode(np.array(12)) == hash_observation(12)
    assert encoder_for(spaces.Discrete(2))(np.True_) == encoder_for(spaces.Discrete(2))(1)
    for outside in (9, 13):
        with pytest.raises(EncodingError, match=rf"{outside} is outside 10\.\.12"):
            encode(outside)


@pytest.mark.parametrize(
    ("space", "obs"),
    [
        (spaces.Discrete(3), 1.5),
        (spaces.MultiDiscrete([2, 3]), [0, 3]),
        (spaces.MultiDiscrete([2, 3]), [0, 1, 1]),
        (spaces.MultiBinary(2), [0, 2]),
        (spaces.MultiBinary(2), [0.0, 1.0]),
        (spaces.Tuple([spaces.Discrete(3)]), (1, 1)),
        (spaces.Tuple([spaces.Discrete(3)]), 1),
        (spaces.Dict(a=spaces.Discrete(3)), {"b": 1}),
        (spaces.Dict(a=spaces.Discrete(3)), 1),
    ],
    ids=str,
)
def test_foreign_observations_are_refused(space: Any, obs: Any) -> None:
    with pytest.raises(EncodingError):
        encoder_for(space)(obs)


def bin_of(encode: Any, *value: float) -> tuple[int, ...]:
    """The bin indices an encoder must have hashed."""
    size = 6
    candidates = np.ndindex(*(size,) * len(value))
    return next(c for c in candidates if hash_observation(c) == encode(np.array(value, np.float32)))


def test_uniform_bins_clip() -> None:
    encode = encoder_for(spaces.Box(-1, 1, (1,)), bins=4)
    expected = {-1: 0, -0.51: 0, -0.5: 1, -0.01: 1, 0: 2, 0.49: 2, 0.5: 3, 1: 3, 7: 3, -7: 0, np.inf: 3}
    assert {value: bin_of(encode, value)[0] for value in expected} == expected


def test_given_edges_and_counts_by_dimension() -> None:
    space = spaces.Box(np.array([-1, -np.inf], np.float32), np.array([1, np.inf], np.float32))
    encode = encoder_for(space, bins=[np.int64(2), [-5, 0, 1, 5]])
    assert [bin_of(encode, 0.5, v) for v in (-9, -1, 0, 1, 9)] == [(1, 0), (1, 0), (1, 1), (1, 2), (1, 2)]


def test_golden_box() -> None:
    encode = encoder_for(spaces.Box(-1, 1, (2,)), bins=10)
    assert encode(np.array([0.05, -0.95], np.float32)) == hash_observation((5, 0)) == 10753115466654400108


def test_bins_inside_tuple_and_dict() -> None:
    box = spaces.Box(0, 1, (1,))
    pair = encoder_for(spaces.Tuple([spaces.Discrete(2), box]), bins=(None, [[0, 0.5, 1]]))
    assert pair((1, [0.7])) == hash_observation((1, (1,)))
    both = encoder_for(spaces.Dict(x=box, y=box), bins={"x": 2, "y": 4})
    assert both({"x": [0.7], "y": [0.7]}) == hash_observation({"x": (1,), "y": (2,)})
    everywhere = encoder_for(spaces.Dict(x=box, n=spaces.Discrete(2)), bins=4)
    assert everywhere({"x": [0.7], "n": 1}) == hash_observation({"x": (2,), "n": 1})


@pytest.mark.parametrize(
    ("space", "bins", "message"),
    [
        (spaces.Box(0, 1, (2,)), None, "pass bins"),
        (spaces.Box(0, 1, (2,)), [3], "bins for 1 dimensions"),
        (spaces.Box(0, 1, (2,)), 0, "at least 1"),
        (spaces.Box(-np.inf, np.inf, (1,)), 4, "dimension 0: .*edges"),
        (spaces.Box(-3.4e38, 3.4e38, (1,)), 4, "dimension 0: .*edges"),
        (spaces.Box(0, 1, (1,)), [[0, 0, 1]], "increasing"),
        (spaces.Box(0, 1, (1,)), [[0, np.nan]], "increasing"),
        (spaces.Tuple([spaces.Discrete(2)]), (None, 3), "2 bins for the 1 spaces"),
        (spaces.Dict(x=spaces.Discrete(2)), {"z": 3}, "z"),
        (spaces.Sequence(spaces.Discrete(2)), None, "no encoding"),
    ],
    ids=str,
)
def test_bad_bins_are_refused(space: Any, bins: Any, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        encoder_for(space, bins)


@pytest.mark.parametrize(("obs", "message"), [([np.nan], "NaN"), ([1, 2], "shape"), (["x"], "real")])
def test_bad_box_observations_are_refused(obs: Any, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        encoder_for(spaces.Box(0, 1, (1,)), 3)(obs)


# -- tile coding ------------------------------------------------------------------------------------------


def test_golden_tiles() -> None:
    # tilings displaced by (0, 0), (1, 3), (2, 2), (3, 1) quarters of a tile
    expected = [(0, 2, 1), (1, 2, 2), (2, 3, 1), (3, 3, 1)]
    coder = TileCoder(low=[0, -1], high=[4, 3], bins=4, tilings=4)
    assert coder([2.5, 0.25]).tolist() == [hash_observation(tile) for tile in expected]


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_near_observations_share_tiles(x: float, y: float) -> None:
    coder = TileCoder(-1, 1, bins=5, tilings=8)
    shared = np.count_nonzero(coder([x]) == coder([y]))
    apart = abs(x - y) / 0.4  # in tile widths
    assert abs(shared - 8 * max(0.0, 1 - apart)) <= 1 + 1e-9


def test_tiles_clip_and_cover_the_bounds() -> None:
    coder = TileCoder([0, 0], [1, 1], bins=[2, 3], tilings=4)
    assert coder([9, -9]).tolist() == coder([1, 0]).tolist() == coder([np.inf, -np.inf]).tolist()
    assert coder([1, 1])[0] == hash_observation((0, 1, 2))
    assert len(set(coder([0.3, 0.3]).tolist())) == 4


@pytest.mark.parametrize(
    ("low", "high", "bins", "tilings"),
    [
        ([0], [1, 1], 2, 2),
        ([1], [0], 2, 2),
        ([0], [np.inf], 2, 2),
        ([0], [1], 0, 2),
        ([0], [1], [2, 2], 2),
        (0, 1, 2, 0),
    ],
)
def test_malformed_tile_coders_are_refused(low: Any, high: Any, bins: Any, tilings: int) -> None:
    with pytest.raises(EncodingError):
        TileCoder(low, high, bins, tilings)


def test_tiles_refuse_nan() -> None:
    with pytest.raises(EncodingError, match="NaN"):
        TileCoder([0], [1], 2, 2)([np.nan])
