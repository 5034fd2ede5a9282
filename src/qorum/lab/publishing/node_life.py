"""A qorum node whose agent lives in a small grid: TLS, signatures and a synced disk as in earnest."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from qorum.core.effects import Committed as Round
from qorum.lab.publishing.crew import Committed, Dying, Ready, Spared
from qorum.node.config import load_config
from qorum.node.host import Host
from qorum.node.life import GRID, Life
from qorum.node.node import Node


def live(config: str, rate: float, number: int, pipe: Connection) -> None:
    """Run the node of a configuration; its agent takes `rate` steps a second."""
    asyncio.run(_live(config, rate, number, pipe))


class _Telling(Node):
    """A node that tells of every round that takes a contribution of its own."""

    pipe: Connection

    def agreed(self, host: Host, committed: Round, latencies: Sequence[float]) -> None:
        super().agreed(host, committed, latencies)
        now = time.monotonic()
        for latency in latencies:
            self.pipe.send(Committed(now - latency, now))


async def _live(config: str, rate: float, number: int, pipe: Connection) -> None:
    node = _Telling(load_config(config))
    node.pipe = pipe
    await node.start()
    pipe.send(Ready())
    host = node.host()

    def asked() -> None:
        pipe.recv()
        if not _leads(host):
            pipe.send(Spared())
            return
        pipe.send(Dying(time.monotonic()))
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.get_running_loop().add_reader(pipe.fileno(), asked)
    await Life(host, GRID, rate, seed=number).run()


def _leads(host: Host) -> bool:
    """Whether it is this member's turn to lead the round that is under way."""
    consensus = host.member.consensus
    return consensus.leader(consensus.term) == host.me
