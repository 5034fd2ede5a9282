"""A `Platform` in CPython: what JavaScript does for a member, on the same loop, with real keys and real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType

from qorum.core.questions import Question
from qorum.errors import IdentityError, StoreError
from qorum.identity import Identity, verify
from qorum.node.transport import Closed


class Socket:
    """A `Channel`."""

    def __init__(self, session: ClientSession, socket: ClientWebSocketResponse) -> None:
        self._session, self._socket = session, socket

    async def send(self, message: bytes) -> None:
        try:
            await self._socket.send_bytes(message)
        except (ClientError, OSError) as error:
            raise Closed("connection lost") from error

    async def receive(self) -> bytes:
        message = await self._socket.receive()
        if message.type is not WSMsgType.BINARY:
            raise Closed(message.extra or "connection lost" if message.type is WSMsgType.CLOSE else "connection lost")
        return bytes(message.data)

    async def close(self, why: str) -> None:
        await self._socket.close(code=4000, message=why.encode())
        await self._session.close()


class Bench:
    """A platform whose parts a test may break."""

    def __init__(self, identity: Identity, kept: dict[str, bytes] | None = None) -> None:
        self.identity, self.public_key = identity, identity.public_key
        self.kept = {} if kept is None else kept
        self.told: list[tuple[str, Any]] = []
        self.looked_at = 0
        """Signatures that were looked at."""
        self.full = self.keyless = False
        """Whether nothing can be written, or signed and checked."""
        self.slow_s = 0.0

    async def sign(self, message: bytes) -> bytes:
        await asyncio.sleep(self.slow_s)
        if self.keyless:
            raise IdentityError("no such key")
        return self.identity.sign(message)

    async def verify(self, questions: Sequence[Question]) -> Sequence[bool]:
        await asyncio.sleep(self.slow_s)
        self.looked_at += len(questions)
        return [verify(*question) for question in questions]

    async def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    async def write(self, entries: Mapping[str, bytes | None]) -> None:
        await asyncio.sleep(self.slow_s)
        if self.full:
            raise StoreError("quota exceeded")
        for name, data in entries.items():
            if data is None:
                self.kept.pop(name, None)
            else:
                self.kept[name] = data

    async def dial(self, address: str) -> Socket:
        session = ClientSession()
        try:
            return Socket(session, await session.ws_connect(address))
        except (ClientError, OSError) as error:
            await session.close()
            raise Closed(str(error)) from error

    def tell(self, event: str, body: str) -> None:
        self.told.append((event, json.loads(body)))

    def events(self, name: str) -> list[Any]:
        return [body for event, body in self.told if event == name]
