"""`Watch`: several nodes, asked again and again: what each says of itself, and how much it sends and receives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from qorum.errors import QorumError
from qorum.node.attach import line_to
from qorum.node.config import load_config
from qorum.node.status import NodeStatus

ANSWER_S = 5.0
"""Seconds that a node has to answer."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """A node at one moment."""

    config: str
    """Path of its configuration."""
    status: NodeStatus | None = None
    error: str | None = None
    """Why there is no status."""
    sent_bytes_s: float | None = None
    """Bytes a second on the links that are up, since the look before; None at the first."""
    received_bytes_s: float | None = None


class Watch:
    """All at once, so that one that hangs holds up no other's line for longer than its deadline."""

    def __init__(self, configs: Sequence[Path]) -> None:
        """Raises `ConfigError` if one cannot be read."""
        self._lines = {str(path): line_to(load_config(path)) for path in configs}
        self._before: dict[str, tuple[float, int, int]] = {}
        """When, and bytes sent and received by then."""

    def look(self) -> list[Sight]:
        """Ask all of them."""
        with ThreadPoolExecutor(len(self._lines)) as pool:
            return list(pool.map(self._ask, self._lines))

    def _ask(self, config: str) -> Sight:
        try:
            status = self._lines[config].ask("status", NodeStatus, answer_s=ANSWER_S)
        except QorumError as error:
            return Sight(config=config, error=str(error))
        now = time.monotonic()
        sent, received = (sum(getattr(link, f"{name}_bytes") for link in status.links) for name in ("sent", "received"))
        then, sent_then, received_then = self._before.get(config, (now, sent, received))
        self._before[config] = now, sent, received
        if now == then:
            return Sight(config=config, status=status)
        return Sight(
            config=config,
            status=status,
            sent_bytes_s=max(sent - sent_then, 0) / (now - then),
            received_bytes_s=max(received - received_then, 0) / (now - then),
        )
