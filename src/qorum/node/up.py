"""`up`: a federation on this machine, in real processes and real time, whose agents live in a task; and its figures."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from qorum.config import FederationConfig
from qorum.errors import QorumError
from qorum.node.chronicle import Account
from qorum.node.layout import Layout, lay_out
from qorum.node.life import GRID, make_env
from qorum.node.status import Seconds

PORTS = range(10_000, 32_768)
"""Below those that systems give to connections of their own accord: one that is free now stays free."""
READY_S = 60.0
"""Seconds that all nodes have to get ready, and to end."""


class Plan(NamedTuple):
    """What to bring up."""

    members: int
    processes: int
    seconds: float
    task: str = GRID
    rate: float = 20.0
    """Steps of each agent a second."""
    seed: int = 0
    tls: bool = True
    over_zenoh: bool = False
    """Whether nodes link over Zenoh, as peers on loopback."""


def federation_for(task: str, **fields: Any) -> FederationConfig:
    """The configuration for a task: with as many actions as it has."""
    env = make_env(task)
    n_actions = env.n_actions if task == GRID else int(env.action_space.n)
    bounds = {"r_min": -1.0, "r_max": 1.0} if task == GRID else {}
    return FederationConfig.of({"n_actions": n_actions, "sync_interval_ms": 1_000, **bounds, **fields})


def free_addresses(count: int) -> list[str]:
    """Addresses of loopback that nobody listens on."""
    free: dict[str, None] = {}
    random = Random()
    while len(free) < count:
        address = "127.0.0.1", random.choice(PORTS)
        with suppress(OSError), socket.socket() as one:
            one.bind(address)
            free["{}:{}".format(*address)] = None
    return list(free)


def bring_up(plan: Plan, folder: Path, config: FederationConfig, told: Callable[[str], None]) -> dict[str, Any]:
    """Lay a federation out in `folder`, run it for `plan.seconds`, and give its figures.

    told: called with a line for people whenever something is worth it. An interrupt ends the run early. Raises
    `QorumError` if a node does not come up.
    """
    addresses = free_addresses(2 * plan.processes)
    endpoints = [f"tcp/{address}" for address in addresses[plan.processes :]] if plan.over_zenoh else []
    listen = addresses[: plan.processes]
    layout = lay_out(folder, config, plan.members, listen, tls=plan.tls, endpoints=endpoints)
    context = _context()
    nodes = [_Node(context, files.config, plan, number) for number, files in enumerate(layout.nodes)]
    begun = time.monotonic()
    try:
        _await_ready(nodes)
        ready = time.monotonic() - begun
        told(f"{plan.members} members in {plan.processes} processes are up after {ready:.1f} s; files: {folder}")
        _let_live(nodes, plan.seconds)
        lived = time.monotonic() - begun - ready
        accounts = [node.end() for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    return _figures(plan, layout, accounts, ready_s=ready, seconds=lived)


def _context() -> ForkServerContext | SpawnContext:
    """Processes that share what they have imported, where the system can do that; fresh ones elsewhere."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["qorum.node.daemon", "qorum.node.up"])
    return context


class _Node:
    """A node in a process of its own."""

    def __init__(self, context: ForkServerContext | SpawnContext, config: str, plan: Plan, number: int) -> None:
        self._pipe, theirs = context.Pipe()
        self.name = Path(config).stem
        self.process: BaseProcess = context.Process(target=_live, args=(config, plan, number, theirs), name=self.name)
        self.process.start()
        theirs.close()

    def ready(self, deadline: float) -> None:
        """Wait until it is. Raises `QorumError` with what it says if it is not by then."""
        said = self._hear(deadline)
        if said != b"ready":
            raise QorumError(f"node {self.name} did not come up: {(said or b'no answer').decode()}")

    def end(self) -> Account | str:
        """Ask it to end; what it has to tell, or what is wrong with it."""
        self.process.terminate()
        said = self._hear(time.monotonic() + READY_S)
        self.process.join(READY_S)
        if said is None or self.process.exitcode != 0:
            return f"node {self.name} ended with {self.process.exitcode} and without an account"
        return msgspec.json.decode(said, type=Account, strict=False)

    def kill(self) -> None:
        """End it in any case."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join(READY_S)
        self._pipe.close()

    def _hear(self, deadline: float) -> bytes | None:
        try:
            return self._pipe.recv_bytes() if self._pipe.poll(max(deadline - time.monotonic(), 0)) else None
        except (EOFError, OSError):
            return None


def _await_ready(nodes: Sequence[_Node]) -> None:
    deadline = time.monotonic() + READY_S
    for node in nodes:
        node.ready(deadline)


def _let_live(nodes: Sequence[_Node], seconds: float) -> None:
    """Wait until time is up, somebody interrupts, or a node ends by itself."""
    try:
        ended = wait([node.process.sentinel for node in nodes], timeout=seconds or None)
    except KeyboardInterrupt:
        return
    if ended:
        names = [node.name for node in nodes if node.process.sentinel in ended]
        raise QorumError(f"node {', '.join(names)} ended by itself; its log is above")


def _live(config: str, plan: Plan, number: int, pipe: Connection) -> None:
    """In the process of a node: run it, with a life for each of its agents."""
    from qorum.node.config import load_config
    from qorum.node.daemon import Lives, run
    from qorum.node.logs import log_to_stderr

    log_to_stderr("text", level=30)
    try:
        lives = Lives(plan.task, plan.rate, plan.seed * plan.members + number * 4096)
        account = run(load_config(config), lives=lives, on_ready=lambda: pipe.send_bytes(b"ready"))
        pipe.send_bytes(msgspec.json.encode(account))
    except QorumError as error:
        pipe.send_bytes(str(error).encode())
        raise SystemExit(1) from None


def _figures(
    plan: Plan, layout: Layout, accounts: Sequence[Account | str], *, ready_s: float, seconds: float
) -> dict[str, Any]:
    told = [account for account in accounts if isinstance(account, Account)]
    errors = [account for account in accounts if isinstance(account, str)]
    rounds = [agreed for account in told for agreed in account.members.values()]
    memory = sorted(account.rss_mb for account in told)
    latencies = Seconds.of([latency for account in told for latency in account.latencies_s])
    return {
        "members": plan.members,
        "processes": plan.processes,
        "federation": layout.federation,
        "task": plan.task,
        "steps_per_second": plan.rate,
        "seconds": round(seconds, 2),
        "ready_s": round(ready_s, 2),
        "rounds_committed": max((max(agreed, default=0) for agreed in rounds), default=0),
        "sync_latency_s": msgspec.to_builtins(latencies),
        "rss_mb": {"median": memory[len(memory) // 2], "max": memory[-1]} if memory else {"median": None, "max": None},
        "rss_mb_per_member": round(sum(memory) / plan.members, 2),
        "cpu_share": round(sum(account.cpu_s for account in told) / max(seconds, 1.0), 3),
        "kb_per_member_s": round(sum(account.bytes for account in told) / 1000 / plan.members / max(seconds, 1.0), 2),
        "agreed_tables_identical": _identical(rounds) and len(rounds) == plan.members,
        "errors": [*errors, *(error for account in told for error in account.errors)],
    }


def _identical(rounds: Sequence[dict[int, str]]) -> bool:
    """Whether every round led all members that agreed on it to the same state, bit for bit."""
    states: dict[int, set[str]] = {}
    for agreed in rounds:
        for round, state in agreed.items():
            states.setdefault(round, set()).add(state)
    return all(len(hashes) == 1 for hashes in states.values())
