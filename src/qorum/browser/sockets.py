"""`Sockets`: the WebSockets of a page as a `Transport`. Pages dial, and nobody can dial them."""

from __future__ import annotations

from urllib.parse import urlsplit

from qorum.browser.platform import Channel, Platform
from qorum.node.envelope import ENVELOPE_LIMIT
from qorum.node.loopback import is_loopback
from qorum.node.refused import Reason, Refused
from qorum.node.transport import NO_CERTIFICATE, UNSEEN, Accept, Connection, Seen


class Socket:
    """One connection."""

    def __init__(self, channel: Channel, address: str) -> None:
        self._channel, self.peer = channel, address
        url = urlsplit(address)
        self.certificate = UNSEEN if url.scheme == "wss" else NO_CERTIFICATE
        self.is_private = url.scheme == "wss" or is_loopback(url.hostname or "")

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other end is slow. Raises `Closed`."""
        await self._channel.send(message)

    async def receive(self) -> bytes:
        """The next message. Raises `Closed`, and `Refused` for one that is too large."""
        message = await self._channel.receive()
        if len(message) > ENVELOPE_LIMIT:
            raise Refused(Reason.OVERSIZED, f"a message of more than {ENVELOPE_LIMIT} bytes")
        return message

    async def close(self, why: str) -> None:
        """End it and tell the other end why."""
        await self._channel.close(why)


class Sockets:
    """The transport."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def start(self, accept: Accept, seen: Seen) -> None:
        """Make connections from now on."""

    async def connect(self, address: str) -> Connection:
        """Connect to a node. Raises `Closed`."""
        return Socket(await self._platform.dial(address), address)

    async def stop(self) -> None:
        """Make no more connections."""
