"""A federation of nodes and web pages on this machine: the nodes live here, the pages in whatever opens the address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from aiohttp import web

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.errors import ConfigError
from qorum.lab.browser.seats import Seats
from qorum.lab.tasks import load
from qorum.node.config import NodeConfig, load_config
from qorum.node.host import Host
from qorum.node.layout import lay_out
from qorum.node.life import Life
from qorum.node.node import Node
from qorum.node.site import BROWSER, routes
from qorum.node.up import free_addresses

TASK = "FrozenLake8x8-v1"
"""What everybody lives in; the page has its own form of it, with the same chances."""
CONFIG = FederationConfig(n_actions=4, r_min=0.0, r_max=1.0, sync_interval_ms=1_000, sync_after_interactions=100)
BONUS = 0.1
"""For exploring; the reward is 1 at most. See decision 015."""


class Plan(NamedTuple):
    """What to bring up."""

    nodes: int = 5
    tabs: int = 2
    """Seats for pages."""
    port: int = 0
    """Of the page; 0 takes a free one."""
    rate: float = 200.0
    """Steps of each node's agent a second."""
    seed: int = 0


class Demo:
    """What is up."""

    def __init__(self, plan: Plan, nodes: list[Node], seats: Seats, address: str) -> None:
        self.address = address
        """Of the page."""
        self._plan, self._nodes, self._seats = plan, nodes, seats

    def figures(self) -> dict[str, Any]:
        """How far it has come."""
        chronicles, hosts = [node.chronicle for node in self._nodes], [node.host() for node in self._nodes]
        states: dict[int, set[str]] = {}
        for round, state in (item for one in chronicles for rounds in one.rounds.values() for item in rounds.items()):
            states.setdefault(round, set()).add(state)
        furthest = max(hosts, key=lambda host: host.member.state.round)
        return {
            "members": self._plan.nodes + self._plan.tabs,
            "nodes": self._plan.nodes,
            "tabs_joined": len(self._seats.taken),
            "rounds_committed": max(one.committed for one in chronicles),
            "agreed_value": _worth(furthest),
            "agreed_tables_identical": all(len(hashes) == 1 for hashes in states.values()),
            "excluded": np.flatnonzero(furthest.member.state.excluded).tolist(),
            "errors": [error for one in chronicles for error in one.errors],
        }


@asynccontextmanager
async def demo(plan: Plan, folder: Path, assets: Path) -> AsyncIterator[Demo]:
    """Bring it up in `folder`. Raises `ConfigError` if the numbers make no sense or the port is taken."""
    members = plan.nodes + plan.tabs
    if plan.nodes < 1 or plan.tabs < 0 or members < 4:
        raise ConfigError(f"{plan.nodes} nodes and {plan.tabs} pages; there have to be a node, and 4 members in all")
    layout = lay_out(folder, CONFIG, members, free_addresses(members), tls=False)
    configs = [load_config(one.config) for one in layout.nodes]
    genesis = Path(layout.genesis).read_bytes()
    async with AsyncExitStack() as stack:
        nodes = [Node(config) for config in _knowing_each_other(configs[: plan.nodes])]
        for number, node in enumerate(nodes):
            await node.start()
            stack.push_async_callback(node.stop)
            stack.push_async_callback(_ended, asyncio.create_task(_life(node.host(), plan, number).run()))
        keys = {plan.nodes + number: config.members[0] for number, config in enumerate(configs[plan.nodes :])}
        seats = Seats(keys, genesis.decode(), [f"http://{node.listen}" for node in nodes])
        port = await stack.enter_async_context(_site(plan.port, genesis, assets, seats))
        yield Demo(plan, nodes, seats, f"http://127.0.0.1:{port}{BROWSER}")


def _knowing_each_other(configs: Sequence[NodeConfig]) -> Iterator[NodeConfig]:
    """The same, but that none dials a page."""
    addresses = [config.listen for config in configs]
    for config in configs:
        yield msgspec.structs.replace(config, peers=tuple(one for one in addresses if one != config.listen))


def _life(host: Host, plan: Plan, number: int) -> Life:
    config, seed = host.table.config, plan.seed * 4096 + number
    agent = QAgent(config.n_actions, gamma=config.gamma, evidence=config.evidence, bonus=BONUS, seed=seed)
    host.table.replace_agent(agent)
    return Life(host, TASK, plan.rate, seed)


async def _ended(living: asyncio.Task[None]) -> None:
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)


@asynccontextmanager
async def _site(port: int, genesis: bytes, assets: Path, seats: Seats) -> AsyncIterator[int]:
    async def home(request: web.Request) -> web.Response:
        raise web.HTTPFound(BROWSER)

    app = web.Application()
    app.add_routes([web.get("/", home), web.post("/demo/seat", seats.handle), *routes(genesis, assets)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield int(runner.addresses[0][1])
    except OSError as error:
        raise ConfigError(f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}") from error
    finally:
        await runner.cleanup()


def _worth(host: Host) -> float:
    """Of acting by the agreed table: 1 is the best that can be done, 0 the best that needs no eyes."""
    return round(load(TASK).evaluate(host.table.agreed_table, host.table.config.initial_q), 3)


def run(plan: Plan, folder: Path, assets: Path, seconds: float, told: Callable[[str], None]) -> dict[str, Any]:
    """Bring it up, say where it is, and give its figures after so many seconds, or once somebody interrupts.

    seconds: 0 for as long as nobody does.
    """

    async def live() -> dict[str, Any]:
        begun = time.monotonic()
        async with demo(plan, folder, assets) as one:
            told(f"open {one.address} in a browser, in {plan.tabs} tabs; end with Ctrl-C")
            try:
                while not seconds or time.monotonic() - begun < seconds:
                    await asyncio.sleep(min(0.2, seconds or 0.2))
            except asyncio.CancelledError:  # Ctrl-C
                told("ending")
            return one.figures()

    return asyncio.run(live())
