"""`Platform`: what JavaScript does for a member: keys and signatures, keeping, connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qorum.core.questions import Question


class Channel(Protocol):
    """A WebSocket that is open. Its methods raise `qorum.node.transport.Closed` once it is not."""

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other end is slow."""

    async def receive(self) -> bytes:
        """The next message."""

    async def close(self, why: str) -> None:
        """End it, and tell the other end why."""


class Platform(Protocol):
    """One agent's. Everything that can take a wait does."""

    @property
    def public_key(self) -> bytes:
        """32 bytes, of the key that `sign` signs with."""

    async def sign(self, message: bytes) -> bytes:
        """Ed25519, 64 bytes. Raises `IdentityError`."""

    async def verify(self, questions: Sequence[Question]) -> Sequence[bool]:
        """The equation alone, without the cofactor: the strict rules on bytes are checked elsewhere."""

    async def read(self, name: str) -> bytes | None:
        """What was written last by this name. Raises `StoreError`."""

    async def write(self, entries: Mapping[str, bytes | None]) -> None:
        """Make all of these durable at once, or none; None forgets a name. Raises `StoreError`."""

    async def dial(self, address: str) -> Channel:
        """Connect to `ws://...` or `wss://...`. Raises `Closed`."""

    def tell(self, event: str, body: str) -> None:
        """Something has happened that a page may want to show. body: JSON."""
