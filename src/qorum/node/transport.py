"""`Transport`: what carries messages between nodes. Handshake, budgets and routing are above, and know no more of it.

A connection carries whole messages in order, both ways, until it is closed. It proves nothing but which certificate the
listening end has shown, or, where a connection has keys of its own, which keys these are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

NO_CERTIFICATE = bytes(32)
"""In place of a certificate's hash, where none was shown,"""
UNSEEN = b"\xff" * 32
"""and where the dialling end has no means to see it, as in browsers."""


class Closed(Exception):  # noqa: N818 - says what happened
    """The connection is over, or could not be made; says why if that is known."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        """What the other end gave as its reason: a `Reason`, if it has refused this one."""


class Connection(Protocol):
    """A connection to another node. Its methods raise `Refused` for what breaks the transport's own rules."""

    @property
    def peer(self) -> str:
        """Where it leads, for people."""

    @property
    def certificate(self) -> bytes:
        """SHA-256 of the certificate that the listening end shows, or of keys that both ends made for this connection.

        The same at both ends only if nobody is in between. `NO_CERTIFICATE` if there is neither, `UNSEEN` where this
        end dialled and cannot see it.
        """

    @property
    def is_private(self) -> bool:
        """Whether nobody in between can read or change what it carries, if the certificate is the right one."""

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other end is slow. Raises `Closed`."""

    async def receive(self) -> bytes:
        """The next message. Raises `Closed`, and `Refused` for one that is too large or malformed."""

    async def close(self, why: str) -> None:
        """End it and tell the other end why, in at most a second or two."""


Accept = Callable[[Connection], Awaitable[None]]
"""Called with each connection that another node has made; the connection lasts until it returns."""


Seen = Callable[[str, bool], None]
"""Called with the address of a node that the transport has found by itself, and that this end is to dial.

True: it is there, which may be said more than once; False: it is gone.
"""


class Transport(Protocol):
    """Makes connections to other nodes."""

    async def start(self, accept: Accept, seen: Seen) -> None:
        """Take connections that others make, and make some. Raises `ConfigError` if it cannot be set up so."""

    async def connect(self, address: str) -> Connection:
        """Connect to a node. Raises `Closed`."""

    async def stop(self) -> None:
        """Take no more connections, and make none."""
