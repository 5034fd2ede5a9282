"""Whole nodes in one event loop, on real sockets of loopback, and operators in threads beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from qorum.node.config import load_config
from qorum.node.genesis_file import load_genesis
from qorum.node.layout import Layout, lay_out, lay_out_newcomer
from qorum.node.node import Node
from qorum.node.operators import Operators
from qorum.node.up import free_addresses
from tests.node.builders import QUICK, until

T = TypeVar("T")


class Fleet:
    """A federation of as many nodes as members, and those that come later."""

    def __init__(self, folder: Path, members: int, *, tls: bool = False) -> None:
        self.folder = folder
        layout = lay_out(folder / "fed", QUICK, members, free_addresses(members), tls=tls)
        self.genesis = load_genesis(layout.genesis)
        self.configs = [Path(node.config) for node in layout.nodes]
        self.nodes: dict[Path, Node] = {}
        """Those that run."""

    async def start(self, *configs: Path) -> None:
        for config in configs:
            self.nodes[config] = Node(load_config(config))
            await self.nodes[config].start()

    async def stop(self, *configs: Path) -> None:
        for config in configs or list(self.nodes):
            await self.nodes.pop(config).stop()

    def newcomer(self, name: str = "newcomer") -> Layout:
        """The files of one more node, which dials all there are."""
        peers = [load_config(config).listen for config in self.configs]
        return lay_out_newcomer(self.folder / name, self.genesis, 1, free_addresses(1)[0], peers, tls=False)

    def learn(self, steps: int = 12) -> None:
        """Let every agent take some steps of its own."""
        for number, node in enumerate(self.nodes.values()):
            for host in node.hosts.values():
                for step in range(steps):
                    host.table.agent.learn(step % 7, (number + step) % 4, 0.5, (step + 1) % 7, False)
                host.lived()

    def hashes(self) -> set[tuple[int, bytes]]:
        states = [host.member.state for node in self.nodes.values() for host in node.hosts.values()]
        return {(state.round, state.hash) for state in states}

    async def settle(self, why: str) -> None:
        """Wait until all nodes stand on one and the same state."""
        await until(lambda: len(self.hashes()) == 1, why, 20)

    async def ask(self, configs: list[Path], what: Callable[[Operators], T]) -> T:
        """What operators do, in a thread, as they would in processes of their own."""
        return await asyncio.to_thread(lambda: what(Operators(configs)))


@asynccontextmanager
async def fleet(folder: Path, members: int = 4) -> AsyncIterator[Fleet]:
    """A running one."""
    one = Fleet(folder, members)
    try:
        await one.start(*one.configs)
        yield one
    finally:
        await one.stop()
