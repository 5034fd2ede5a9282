"""Budgets: how much a node takes from each of its peers. Whoever keeps to them is never refused for it.

A node tells its peers in its greeting what it takes of them, and they see to it that they send less. So whoever sends
more does it on purpose, or is broken.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from qorum.node.envelope import ENVELOPE_LIMIT

GUEST_SHARE = 1 / 8
"""What a guest may send, as a share of what a member may."""
PACE = 0.8
"""Share of what a peer takes that it is sent; the rest is room for clocks that differ."""
PACE_S = 1.0
"""What a node has not sent for so long it may send in one go,"""
STALL_S = 40.0
"""and what a peer has not: networks stall, and then deliver all at once."""
SPARE = 4
"""Of the largest messages, how many a peer may send in any case: small budgets have room for them too."""

Some = Annotated[int, Meta(ge=1, le=2**40)]


class Budgets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node takes; a table of its configuration."""

    bytes_per_second: Some = 2_000_000
    """For each member that the peer hosts,"""
    messages_per_second: Some = 1_000
    """and likewise."""
    errors: Some = 16
    """Broken frames of one member that are forgiven; one more is every ten seconds."""
    refuse_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 30.0
    """Seconds for which whoever broke a budget is refused."""
    queue_bytes: Annotated[int, Meta(ge=2 * ENVELOPE_LIMIT, le=2**40)] = 8_000_000
    """Bytes that wait for a slow peer; past that the oldest are dropped, and gossip brings them again."""
    guests: Annotated[int, Meta(ge=0, le=4096)] = 8
    """Nodes without a seat that may look on, or ask to be admitted, at a time; 0: none."""


class Bucket:
    """An allowance that refills by `rate` a second, up to `burst`. Times are seconds of one monotonic clock."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float, owed_s: float = 0.0) -> None:
        """owed_s: seconds until it is full."""
        self._rate, self._burst = rate, burst
        self._level, self._at = burst - rate * owed_s, now

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Use up so much, if there is; whether there was."""
        self._refill(now)
        enough = self._level >= amount
        if enough:
            self._level -= amount
        return enough

    def owe(self, amount: float, now: float) -> float:
        """Use up so much in any case; seconds until that is paid back, 0 if there was enough."""
        self._refill(now)
        self._level -= amount
        return max(-self._level / self._rate, 0.0)

    def owed_s(self, now: float) -> float:
        """Seconds until it is full."""
        self._refill(now)
        return (self._burst - self._level) / self._rate


class Flow:
    """Bytes and messages together."""

    def __init__(
        self,
        bytes_per_second: float,
        messages_per_second: float,
        burst_s: float,
        now: float,
        *,
        spare: int = 0,
        owed_s: float = 0.0,
    ) -> None:
        """burst_s: seconds that may be made up for in one go. spare: as many of the largest messages on top.

        owed_s: seconds until what was used up earlier is paid back.
        """
        most = bytes_per_second * burst_s + spare * ENVELOPE_LIMIT
        self._bytes = Bucket(bytes_per_second, most, now, owed_s)
        self._messages = Bucket(messages_per_second, messages_per_second * burst_s + spare, now, owed_s)

    def take(self, size: int, now: float) -> bool:
        """Whether a message of `size` bytes is within both."""
        return self._messages.take(1, now) and self._bytes.take(size, now)

    def owe(self, size: int, now: float) -> float:
        """Send a message of `size` bytes; seconds to wait before the next."""
        return max(self._messages.owe(1, now), self._bytes.owe(size, now))

    def owed_s(self, now: float) -> float:
        """Seconds until all is paid back."""
        return max(self._messages.owed_s(now), self._bytes.owed_s(now))
