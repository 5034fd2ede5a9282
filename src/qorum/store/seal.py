"""Sealed bytes have a digest in front: SQLite notices a broken page, but no bit that flipped inside a value."""

from __future__ import annotations

import hashlib

from qorum.errors import StoreError

DIGEST_BYTES = 16


def seal(data: bytes) -> bytes:
    """The data with its digest in front."""
    return _digest(data) + data


def damaged(what: str) -> StoreError:
    """The error for something that is not as it was written."""
    return StoreError(f"{what} is damaged. Members that need it must not sign again: give each a new key")


def unseal(sealed: bytes, what: str) -> bytes:
    """Undo `seal`. Raises `StoreError` naming `what` if the data is not what was sealed."""
    data = sealed[DIGEST_BYTES:]
    if sealed[:DIGEST_BYTES] != _digest(data):
        raise damaged(what)
    return data


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
