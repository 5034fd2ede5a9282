"""Succession: how a member goes over to a new key, whatever is killed in between.

The new key lies beside the one in use, `agent-0.next.pem` beside `agent-0.pem`, and does nothing until a round has put
it in the old one's place. From that round on the old key counts for nothing, so nothing that it said can contradict
what the new one says. The node then hands what the member kept on to the new key, in its store, and only then swaps the
files; the old key is kept aside. A node that was down meanwhile does the same when it starts.
"""

from __future__ import annotations

import os
from pathlib import Path

from qorum.errors import IdentityError, StoreError
from qorum.identity import Identity
from qorum.store import Store

SHOWN = 8
"""Hex digits of a key in the name of its file."""
DISK_S = 60.0
"""Seconds that the store has to hand everything on."""


def next_path(path: Path) -> Path:
    """Where the next key of a member lies, whose key is at `path`."""
    return path.with_suffix(f".next{path.suffix}")


def next_key(path: Path) -> Identity | None:
    """The key that is to follow the one at `path`; None if there is none. Raises `IdentityError`."""
    following = next_path(path)
    return Identity.load(following) if following.exists() else None


def former_keys(path: Path) -> list[Identity]:
    """Keys that were kept aside when others took their place at `path`. Raises `IdentityError`."""
    return [Identity.load(aside) for aside in sorted(path.parent.glob(f"{path.stem}.was-*{path.suffix}"))]


def swap(path: Path) -> None:
    """Put the next key in the place of the one at `path`, which is kept aside. There is a key at `path` at any time.

    Raises `IdentityError` if the files cannot be moved; then the next start of the node tries again.
    """
    try:
        if path.exists():
            aside = path.with_suffix(f".was-{Identity.load(path).public_key.hex()[:SHOWN]}{path.suffix}")
            aside.unlink(missing_ok=True)  # of a swap that was cut short
            os.link(path, aside)
        os.replace(next_path(path), path)
        _sync(path.parent)
    except OSError as error:
        raise IdentityError(f"cannot put {next_path(path)} in the place of {path}: {error.strerror}") from error


def identity_at(path: Path, store: Store) -> Identity:
    """The key that a member goes by at the start of its node: the next one, if a round has put it in place by now.

    Raises `IdentityError` or `StoreError`.
    """
    following = next_key(path)
    if following is None:
        return Identity.load(path)
    if path.exists():
        current = Identity.load(path)
        if not any(_seated(store, key, following.public_key) for key in (current.public_key, following.public_key)):
            return current
        _hand_on(store, current.public_key, following.public_key)
    swap(path)
    return following


def _hand_on(store: Store, old: bytes, new: bytes) -> None:
    try:
        store.rekey(old, new).result(DISK_S)
    except TimeoutError:
        raise StoreError(f"the disk has not answered for {DISK_S:.0f} s; see what it is busy with") from None


def _seated(store: Store, member: bytes, key: bytes) -> bool:
    """Whether `key` holds a seat in the newest state of a member."""
    kept = store.load(member)
    return kept is not None and kept.state is not None and kept.state.roster.seat_of(key) is not None


def _sync(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
