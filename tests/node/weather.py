"""`Weather`: hosts with a network of their own each, and a thread that carries every packet between them, or does not.

A host is a network namespace that lives in a thread: what the thread starts, or connects to, is in there. Packets leave
it through a TUN device, where they can be lost, delayed, or stopped, in each direction for itself. It takes root.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from types import TracebackType
from typing import NamedTuple, TypeVar

T = TypeVar("T")

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
SET_INTERFACE = 0x400454CA  # TUNSETIFF
PLAIN_TUN = 0x1001  # IFF_TUN | IFF_NO_PI
TUN = Path("/dev/net/tun")
PACKET = 65_536


def missing() -> str | None:
    """Why there can be no weather here."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    if not TUN.exists():
        return f"there is no {TUN}"
    if subprocess.run(["sh", "-c", "command -v ip"], capture_output=True).returncode:
        return "there is no `ip` command"
    return None


class Way(NamedTuple):
    """From one host to another."""

    open: bool = True
    loss: float = 0.0
    """Share of the packets."""
    delay_s: float = 0.0


class Host:
    """A network namespace, with one address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"host {address}")
        self.tun = self.run(self._move_in)

    def run(self, work: Callable[[], T]) -> T:
        """Do something in there."""
        return self._thread.submit(work).result(timeout=120)

    def _move_in(self) -> int:
        if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "no network namespace")
        tun = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, SET_INTERFACE, struct.pack("16sH22x", b"sky", PLAIN_TUN))
        for command in ("link set lo up", f"address add {self.address}/24 dev sky", "link set sky up"):
            subprocess.run(["ip", *command.split()], check=True, capture_output=True, timeout=10)
        return tun

    def close(self) -> None:
        """End it; the namespace ends with what runs in it."""
        os.close(self.tun)
        self._thread.shutdown()


class Weather:
    """So many hosts, 10.77.0.1 and up, with fair weather between them."""

    def __init__(self, hosts: int, seed: int = 0) -> None:
        self.hosts = [Host(f"10.77.0.{number + 1}") for number in range(hosts)]
        self._ways = {(a, b): Way() for a in range(hosts) for b in range(hosts)}
        self._random = Random(seed)
        self._under_way: list[tuple[float, int, int, bytes]] = []
        """(due, number, to, packet)."""
        self._carried, self._ends = 0, False
        self._carrier = threading.Thread(target=self._carry, name="weather")

    def __enter__(self) -> Weather:
        self._carrier.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends = True
        self._carrier.join(timeout=10)
        for host in self.hosts:
            host.close()

    def set(self, way: Way, ways: Iterable[tuple[int, int]] | None = None) -> None:
        """Have it be like this from a to b, for each (a, b); everywhere by default."""
        for pair in list(self._ways) if ways is None else ways:
            self._ways[pair] = way

    def cut(self, host: int) -> None:
        """No packet reaches this host, or leaves it."""
        self.set(Way(open=False), [pair for pair in self._ways if host in pair])

    def _carry(self) -> None:
        tuns = [host.tun for host in self.hosts]
        while not self._ends:
            wait = self._under_way[0][0] - time.monotonic() if self._under_way else 0.1
            ready, _, _ = select.select(tuns, [], [], min(max(wait, 0.0), 0.1))
            for tun in ready:
                self._take(tuns.index(tun), os.read(tun, PACKET))
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(self._under_way)
                os.write(tuns[to], packet)

    def _take(self, sender: int, packet: bytes) -> None:
        """A packet leaves a host: of IPv4, the byte 19 says which one it is for."""
        to = packet[19] - 1
        if packet[0] >> 4 != 4 or not 0 <= to < len(self.hosts):
            return
        way = self._ways[sender, to]
        if way.open and self._random.random() >= way.loss:
            self._carried += 1
            heapq.heappush(self._under_way, (time.monotonic() + way.delay_s, self._carried, to, packet))
