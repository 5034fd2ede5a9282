"""Real nodes in processes of their own, on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qorum.config import FederationConfig
from qorum.errors import QorumError
from qorum.node.attach import Line, line_to
from qorum.node.config import load_config
from qorum.node.layout import lay_out
from qorum.node.status import NodeStatus
from qorum.node.up import free_addresses
from tests.node.builders import QUICK


def federation(
    folder: Path,
    members: int,
    hosts: int,
    config: FederationConfig = QUICK,
    *,
    tls: bool = True,
    over_zenoh: bool = False,
) -> list[Path]:
    """The configurations of a new federation on free ports of loopback."""
    addresses = free_addresses(2 * hosts)
    endpoints = [f"tcp/{address}" for address in addresses[hosts:]] if over_zenoh else []
    layout = lay_out(folder, config, members, addresses[:hosts], tls=tls, endpoints=endpoints)
    return [Path(node.config) for node in layout.nodes]


class Daemon:
    """`qorum node CONFIG` in a process of its own."""

    def __init__(self, config: Path, *arguments: str) -> None:
        self.config = config
        command = [sys.executable, "-m", "qorum.cli", "node", str(config), "--json", *arguments]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe that nobody reads would stop the node in the end
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)

    @property
    def line(self) -> Line:
        """Requests to it."""
        return line_to(load_config(self.config), 0)

    def status(self) -> NodeStatus:
        """What it says of itself. Raises `QorumError` while it is not up."""
        return self.line.ask("status", NodeStatus)

    def kill(self) -> None:
        """As a power cut."""
        self.process.kill()
        self.process.communicate(timeout=10)
        self._log.close()

    def end(self, timeout_s: float = 30.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """SIGTERM: its account, and its log. It has to end with 0 in time."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=timeout_s)
        with self._log:
            log = self.log()
        assert self.process.returncode == 0, log
        return json.loads(out), [json.loads(line) for line in log.splitlines()]

    def log(self) -> str:
        """What it has said on standard error so far."""
        self._log.seek(0)
        return self._log.read()


def until(holds: Callable[[], bool], why: str, timeout_s: float = 60.0, every_s: float = 0.02) -> None:
    """Wait for something that may need nodes which are not up yet; with a deadline."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except QorumError:
            pass
        time.sleep(every_s)
    raise AssertionError(f"in vain, for {timeout_s} s: {why}")
