"""`run`: a node's life as a daemon: it comes up, works until it is told to end, and ends within a deadline."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from qorum.errors import QorumError
from qorum.node.chronicle import Account
from qorum.node.config import NodeConfig
from qorum.node.life import GRID, Life
from qorum.node.memory import give_back
from qorum.node.node import Node

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_S = 15.0
"""Seconds that a node has to end once it is told to; then it ends all the same, and says what hung."""

log = logging.getLogger("qorum.node")


class Lives(NamedTuple):
    """What the agents of a node live in, where the node itself lets them."""

    task: str = GRID
    rate: float = 20.0
    """Steps of each agent a second."""
    seed: int = 0


def run(config: NodeConfig, *, lives: Lives | None = None, on_ready: Callable[[], None] = lambda: None) -> Account:
    """Run a node until SIGTERM or SIGINT, and tell what happened in its life.

    lives: what its agents live in; by default they are somebody else's, who speaks to the API. on_ready: called once
    the node takes part. Raises a `QorumError` that says why the node does not come up, or cannot end cleanly.
    """
    give_back()
    return asyncio.run(_run(config, lives, on_ready))


async def _run(config: NodeConfig, lives: Lives | None, on_ready: Callable[[], None]) -> Account:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        _on_signal(loop, number, told)
    node = Node(config)
    await node.start()
    living = [asyncio.create_task(life.run()) for life in _lives(node, lives)]
    members = sorted(host.me for host in node.hosts.values())
    log.info("ready", extra={"facts": {"listen": node.listen, "members": members}})
    on_ready()
    await told.wait()
    log.info("ending", extra={"facts": {"deadline_s": STOP_S}})
    for life in living:
        life.cancel()
    await asyncio.gather(*living, return_exceptions=True)
    await _end(node)
    log.info("ended", extra={"facts": {"rounds": node.chronicle.committed}})
    return node.account()


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, told: asyncio.Event) -> None:
    try:
        loop.add_signal_handler(number, told.set)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(told.set))


def _lives(node: Node, lives: Lives | None) -> list[Life]:
    if lives is None:
        return []
    return [Life(host, lives.task, lives.rate, lives.seed + host.me) for host in node.hosts.values()]


async def _end(node: Node) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await node.stop()
            return
    raise QorumError(f"the node did not end within {STOP_S:.0f} s, waiting for {node.stopping}")
