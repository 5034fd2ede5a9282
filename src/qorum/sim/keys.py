"""Keys of simulated members: real ones, or quick ones for campaigns of millions of signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from qorum.core.verify import Verify
from qorum.identity import Identity, verify


class Keys(NamedTuple):
    """The key pairs of a federation, and how to check a signature."""

    public: tuple[bytes, ...]
    """Of the founding members, by seat: the first numbers. All numbers after them are spare, for newcomers."""
    sign: Callable[[int, bytes], bytes]
    """(number, data) -> 64 bytes."""
    verify: Verify
    key: Callable[[int], bytes]
    """Public key by number."""


def real_keys(seed: int, members: int) -> Keys:
    """Ed25519 keys drawn from a seed."""
    return keys_of(cache(lambda number: Identity.from_seed(_seed(seed, number))), members)


def keys_of(identity: Callable[[int], Identity], members: int) -> Keys:
    """The keys of identities, by number."""
    public = tuple(identity(number).public_key for number in range(members))
    sign: Callable[[int, bytes], bytes] = lambda number, data: identity(number).sign(data)  # noqa: E731
    return Keys(public, sign, verify, lambda number: identity(number).public_key)


def quick_keys(seed: int, members: int) -> Keys:
    """Keyed hashes: fit for liars that are scripted, not for ones that compute. A hundred times as fast."""
    key = cache(lambda number: _seed(seed, number))
    public = tuple(key(number) for number in range(members))
    return Keys(public, lambda number, data: _seal(key(number), data), _is_seal, key)


def _seal(public_key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, key=public_key).digest()


def _is_seal(public_key: bytes, data: bytes, signature: bytes) -> bool:
    return hashlib.blake2b(data, key=public_key).digest() == signature


def _seed(seed: int, number: int) -> bytes:
    return hashlib.sha256(f"{seed} key {number}".encode()).digest()
