"""What links may go over, each on loopback: WebSockets, and Zenoh between peers and through a router."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import zenoh

from qorum.node.config import Zenoh
from qorum.node.up import free_addresses

CARRIERS = ("websocket", "zenoh-peers", "zenoh-router")


class Carrier:
    """One of them, for the nodes of one test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.router = f"tcp/{free_addresses(1)[0]}"
        self._peers: list[str] = []

    @property
    def is_zenoh(self) -> bool:
        return self.name != "websocket"

    def config(self) -> Zenoh | None:
        """Of one more node; None: WebSockets. Peers connect to all that were there before."""
        if not self.is_zenoh:
            return None
        if self.name == "zenoh-router":
            return Zenoh(mode="client", connect=(self.router,))
        earlier, own = tuple(self._peers), f"tcp/{free_addresses(1)[0]}"
        self._peers.append(own)
        return Zenoh(connect=earlier, listen=(own,))

    @contextmanager
    def running(self) -> Iterator[Carrier]:
        """With whatever has to be there beside the nodes."""
        if self.name != "zenoh-router":
            yield self
            return
        with self.routing():
            yield self

    @contextmanager
    def routing(self) -> Iterator[zenoh.Session]:
        """A router, until the block ends."""
        config = zenoh.Config()
        settings = {
            "mode": "router",
            "listen/endpoints": [self.router],
            "scouting/multicast/enabled": False,
            "open/return_conditions": {"connect_scouted": False, "declares": True},  # it has nobody to wait for
        }
        for name, value in settings.items():
            config.insert_json5(name, json.dumps(value))
        with zenoh.open(config) as session:
            yield session
