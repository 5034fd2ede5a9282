"""`join`: a node inside a Python program. The event loop lives in a thread of its own, or is the caller's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from contextlib import suppress
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypeVar

from qorum.agent import QAgent
from qorum.core.table import SyncResult
from qorum.errors import QorumError
from qorum.node.config import NodeConfig, load_config
from qorum.node.host import Host
from qorum.node.node import Node
from qorum.node.resident import Resident
from qorum.node.status import NodeStatus
from qorum.qtable import QTable

T = TypeVar("T")

ANSWER_S = 30.0
"""Seconds that the loop has to answer; what waits for others has a deadline of its own on top."""


def resident(host: Host, loop: asyncio.AbstractEventLoop, n_actions: int | None, fields: dict[str, Any]) -> Resident:
    """An agent as the federation wants it, that tells `host` when it has learned enough."""
    config = host.table.config
    agreed = {name: getattr(config, name) for name in ("gamma", "alpha", "initial_q", "evidence")}
    agent = Resident(config.n_actions if n_actions is None else n_actions, **{**agreed, **fields})
    agent.next_due = lambda: host.table.next_due

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed: the agent learns on, alone
            loop.call_soon_threadsafe(host.lived)

    agent.tell = tell
    return agent


class AsyncFederation:
    """One member of a federation, hosted in the running event loop. `async with` starts and stops its node."""

    def __init__(self, node: Node, member: str | int | None = None) -> None:
        self.node = node
        self._member = member

    async def __aenter__(self) -> Self:
        await self.node.start()
        try:
            self.host = self.node.host(self._member)
        except BaseException:
            await self.node.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.node.stop()

    def agent(self, n_actions: int | None = None, **fields: Any) -> QAgent:
        """An agent whose table is the federation's; `fields` as for `QAgent`. It goes on with what its member has seen.

        Raises `ConfigError` if it would learn something else than the federation agreed on.
        """
        agent = resident(self.host, asyncio.get_running_loop(), n_actions, fields)
        self.host.table.replace_agent(agent)
        return agent

    async def sync(self, timeout_s: float = 10.0) -> SyncResult:
        """Contribute, wait until a round is agreed or `timeout_s` has passed, and report. Raises `StoreError`."""
        return await self.host.sync(timeout_s)

    def status(self) -> NodeStatus:
        """What the node says of itself."""
        return self.node.status()

    @property
    def agreed_table(self) -> QTable:
        """The newest table that the federation agreed on."""
        return self.host.table.agreed_table


class Federation:
    """One member of a federation, hosted in a thread of this process. Methods may be called from any other thread.

    A context manager: leaving it stops the node. What agents have seen is kept in the node's store.
    """

    def __init__(self, node: Node, member: str | int | None = None) -> None:
        self._background = _Background()
        self._inner = AsyncFederation(node, member)
        try:
            self._background.call(self._inner.__aenter__())
        except BaseException:
            self._background.close()
            raise

    def agent(self, n_actions: int | None = None, **fields: Any) -> QAgent:
        """See `AsyncFederation.agent`. Use the agent in one thread at a time."""

        async def make() -> QAgent:
            return self._inner.agent(n_actions, **fields)

        return self._background.call(make())

    def sync(self, timeout_s: float = 10.0) -> SyncResult:
        """See `AsyncFederation.sync`."""
        return self._background.call(self._inner.sync(timeout_s), timeout_s)

    def status(self) -> NodeStatus:
        """What the node says of itself."""

        async def ask() -> NodeStatus:
            return self._inner.status()

        return self._background.call(ask())

    @property
    def agreed_table(self) -> QTable:
        """The newest table that the federation agreed on; the same bits at every member."""

        async def ask() -> QTable:
            return self._inner.agreed_table

        return self._background.call(ask())

    def close(self) -> None:
        """Stop the node. May be called again."""
        if self._background.is_open:
            try:
                self._background.call(self._inner.__aexit__())
            finally:
                self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="qorum node", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._told.wait()

    @property
    def is_open(self) -> bool:
        return self._thread.is_alive()

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float = 0.0) -> T:
        """Run it in the loop and wait for it. Raises `QorumError` if the loop is closed, or does not answer."""
        if not self.is_open:
            work.close()
            raise QorumError("this federation was left; join it again")
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result(timeout_s + ANSWER_S)
        except concurrent.futures.TimeoutError:
            if running.done():
                raise
            running.cancel()
            raise QorumError(f"the node has not answered for {timeout_s + ANSWER_S:.0f} s") from None

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join(ANSWER_S)


def join(config: str | PathLike[str] | NodeConfig, member: str | int | None = None) -> Federation:
    """Host the members of a node's configuration in this process, and give one of them.

    config: a file that `qorum init` wrote. member: its name, or its index in the federation; it may be left out where
    the node hosts one only.

    Raises `ConfigError`, `IdentityError` or `StoreError`, which say what to do.
    """
    return Federation(Node(_read(config)), member)


def join_async(config: str | PathLike[str] | NodeConfig, member: str | int | None = None) -> AsyncFederation:
    """As `join`, in the running event loop: `async with qorum.join_async("host-a.toml") as fed`."""
    return AsyncFederation(Node(_read(config)), member)


def _read(config: str | PathLike[str] | NodeConfig) -> NodeConfig:
    return config if isinstance(config, NodeConfig) else load_config(config)
