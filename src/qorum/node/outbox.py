"""`Outbox`: messages that wait for one peer: so many bytes, then the oldest are dropped."""

from __future__ import annotations

import asyncio
from collections import deque


class Outbox:
    """A bounded queue that never makes its writer wait. For one reader, in one event loop."""

    def __init__(self, limit: int) -> None:
        """limit: bytes; more than any one message has."""
        self._limit = limit
        self._messages: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self.size = 0
        """Bytes in it; at most the limit."""

    def put(self, message: bytes) -> int:
        """Add a message; how many older ones were dropped for it."""
        self._messages.append(message)
        self.size += len(message)
        dropped = 0
        while self.size > self._limit:
            self.size -= len(self._messages.popleft())
            dropped += 1
        self._filled.set()
        return dropped

    async def get(self) -> bytes:
        """Wait for a message, and take the oldest."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        message = self._messages.popleft()
        self.size -= len(message)
        return message
