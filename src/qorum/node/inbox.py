"""`Inbox`: messages that other threads put in and an event loop takes out: so many bytes, and no more."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from threading import Lock

OVERHEAD = 64
"""Bytes that a message takes up beyond its own."""


def cost(message: bytes) -> int:
    """Bytes that a message takes up."""
    return len(message) + OVERHEAD


class Inbox:
    """For one reader, in the event loop that it was made in."""

    def __init__(self, limit: int) -> None:
        """limit: bytes, of the messages and what each takes up beyond its own."""
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._messages: deque[bytes] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self.over: Exception | None = None
        """Why nothing more comes."""

    def put(self, message: bytes) -> bool:
        """Add a message, from any thread; whether there was room for it."""
        with self._lock:
            if self._size + cost(message) > self._limit:
                return False
            if self.over is None:
                self._messages.append(message)
                self._size += cost(message)
        self._wake()
        return True

    def end(self, why: Exception) -> None:
        """Nothing more comes; what is there can still be taken. From any thread; the first reason stays."""
        with self._lock:
            self.over = self.over or why
        self._wake()

    async def get(self) -> bytes:
        """Wait for a message, and take the oldest. Raises why nothing more comes, once that is so."""
        while True:
            with self._lock:
                if self._messages:
                    message = self._messages.popleft()
                    self._size -= cost(message)
                    return message
                if self.over is not None:
                    raise self.over
                self._filled.clear()
            await self._filled.wait()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop has ended, and its reader with it
            self._loop.call_soon_threadsafe(self._filled.set)
