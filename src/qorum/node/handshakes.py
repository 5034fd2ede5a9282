"""`Handshakes`: those under way with other nodes. There may be so many of them, each for so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qorum.node.hello import Handshake, Party, Peer
from qorum.node.refused import Reason, Refused
from qorum.node.transport import Connection

HANDSHAKE_S = 30.0
"""Seconds that one may take: nodes that start on a busy machine are slow to answer."""
HANDSHAKES = 256
"""With whoever dials: for another one the oldest gives way. So strangers that say nothing use up no memory, and keep
nobody out."""

Admit = Callable[[Peer], None]
"""Called with whoever is proven, before anything is signed for it. Raises `Refused` if it is not welcome."""


class Handshakes:
    """All of a node."""

    def __init__(self, *, insecure: bool) -> None:
        """insecure: whether to make do without TLS where others could listen in."""
        self._insecure = insecure
        self._under_way: dict[asyncio.Timeout, None] = {}
        """With those who dialled, the oldest first."""

    def __len__(self) -> int:
        return len(self._under_way)

    async def shake(
        self, connection: Connection, node: Party, admit: Admit, *, dials: bool, as_guest: bool = False
    ) -> Peer:
        """Learn who is at the other end, in time. dials: whether this end does. as_guest: claim no seats there.

        Raises `Closed`, or `Refused` for whoever is not welcome.
        """
        handshake = Handshake(node, connection.certificate, dials=dials, as_guest=as_guest)
        limit = asyncio.timeout(HANDSHAKE_S)
        if not dials:
            self._make_room()
            self._under_way[limit] = None
        try:
            async with limit:
                self._check_private(connection)
                return await _exchange(connection, handshake, admit)
        except TimeoutError:
            if not dials and limit not in self._under_way:
                raise Refused(Reason.BUSY, f"{HANDSHAKES} others began a handshake after it") from None
            raise Refused(Reason.TOO_SLOW, f"no handshake within {HANDSHAKE_S:.0f} s") from None
        finally:
            self._under_way.pop(limit, None)

    def _make_room(self) -> None:
        """For one more: the oldest gives way."""
        while len(self._under_way) >= HANDSHAKES:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            if not oldest.expired():
                oldest.reschedule(asyncio.get_running_loop().time())

    def _check_private(self, connection: Connection) -> None:
        if not connection.is_private and not self._insecure:
            raise Refused(Reason.NOT_TLS, "others could listen in: use TLS, or say `insecure = true`")


async def _exchange(connection: Connection, handshake: Handshake, admit: Admit) -> Peer:
    message = handshake.start()
    while True:
        if message is not None:
            await connection.send(message)
        if handshake.peer is not None:
            return handshake.peer
        message = await handshake.receive(await connection.receive())
        if handshake.peer is not None:
            admit(handshake.peer)
