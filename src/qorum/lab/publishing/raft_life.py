"""A replica of PySyncObj, as it comes: Raft over TCP, for crashes alone, without signatures, TLS or a disk."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from random import Random
from threading import Lock
from typing import Any

from qorum.errors import MissingExtra
from qorum.lab.publishing.crew import Committed, Dying, Ready, Spared

GLANCE_S = 0.001
"""Seconds between two looks at what is due."""


def live(addresses: list[str], pace_s: float, number: int, pipe: Connection) -> None:
    """Run the replica at `addresses[number]`; it publishes about every `pace_s` seconds."""
    pysyncobj = library()

    class Register(pysyncobj.SyncObj):  # type: ignore[misc, name-defined]
        """One value."""

        @pysyncobj.replicated  # type: ignore[untyped-decorator]
        def put(self, value: int) -> None:
            self.value = value

    register = Register(addresses[number], addresses[:number] + addresses[number + 1 :])
    lock = Lock()  # the library calls back in a thread of its own

    def tell(what: object) -> None:
        with lock:
            pipe.send(what)

    while not register.isReady():
        time.sleep(GLANCE_S)
    tell(Ready())
    random, due = Random(number), time.monotonic()
    while True:
        if pipe.poll():
            pipe.recv()
            _die_if_it_leads(register, tell)
        if time.monotonic() >= due:
            due = time.monotonic() + pace_s * random.uniform(0.9, 1.1)
            register.put(number, callback=partial(_tell, tell, time.monotonic()))
        time.sleep(GLANCE_S)


def _die_if_it_leads(register: Any, tell: Callable[[object], None]) -> None:
    if not register._isLeader():
        tell(Spared())
        return
    tell(Dying(time.monotonic()))
    os.kill(os.getpid(), signal.SIGKILL)


def library() -> Any:
    """PySyncObj. Raises `MissingExtra`."""
    try:
        import pysyncobj
    except ImportError as error:
        raise MissingExtra("pysyncobj", "peers", "a comparison with Raft") from error
    return pysyncobj


def _tell(tell: Callable[[object], None], published: float, result: object, error: int) -> None:
    """Something was agreed on, or given up (error is not 0)."""
    if error == 0:
        tell(Committed(published, time.monotonic()))
