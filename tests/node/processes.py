"""Real nodes in processes of their own, on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
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
    folder: Path, members: int, hosts: int, config: FederationConfig = QUICK, *, tls: bool = True
) -> list[Path]:
    """The configurations of a new federation on free ports of loopback."""
    layout = lay_out(folder, config, members, free_addresses(hosts), tls=tls)
    return [Path(node.config) for node in layout.nodes]


class Daemon:
    """`qorum node CONFIG` in a process of its own."""

    def __init__(self, config: Path, *arguments: str) -> None:
        self.config = config
        command = [sys.executable, "-m", "qorum.cli", "node", str(config), "--json", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

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

    def end(self, timeout_s: float = 30.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """SIGTERM: its account, and its log. It has to end with 0 in time."""
        self.process.terminate()
        out, log = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, log
        return json.loads(out), [json.loads(line) for line in log.splitlines()]


def until(holds: Callable[[], bool], why: str, timeout_s: float = 60.0) -> None:
    """Wait for something that may need nodes which are not up yet; with a deadline."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except QorumError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"in vain, for {timeout_s} s: {why}")
