"""`Crew`: so many processes, each with a replica that publishes at its own pace, and what they tell of it.

Times are those of the system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from random import Random
from typing import NamedTuple

from qorum.errors import QorumError

READY_S = 60.0
"""Seconds that a replica has to get ready."""


class Committed(NamedTuple):
    """What was published at one moment was agreed on at another, as its author sees it."""

    published: float
    committed: float


class Dying(NamedTuple):
    """A replica that leads kills itself now, because it was told to,"""

    at: float


class Spared(NamedTuple):
    """and one that does not lead goes on."""


class Ready(NamedTuple):
    """It takes part."""


Told = Committed | Dying | Spared | Ready
Life = Callable[[int, Connection], None]
"""(number, pipe): run a replica for ever, that tells what happens, and kills itself with SIGKILL when it is told
anything while it leads. Must be found by name in a new process."""


class Crew:
    """Replicas 0, 1, ... that are up, unless killed."""

    def __init__(self, lives: Sequence[Life]) -> None:
        """lives: of each. Waits until all are ready. Raises `QorumError` if one is not in time."""
        self._lives = lives
        self._context = multiprocessing.get_context("spawn")
        self._pipes: dict[int, Connection] = {}
        self._processes: dict[int, multiprocessing.process.BaseProcess] = {}
        try:
            for number in range(len(lives)):
                self._start(number)
            for number in range(len(lives)):
                self.await_ready(number)
        except BaseException:
            self.close()
            raise

    def _start(self, number: int) -> None:
        self._pipes[number], theirs = self._context.Pipe()
        self._processes[number] = self._context.Process(target=self._lives[number], args=(number, theirs), daemon=True)
        self._processes[number].start()
        theirs.close()

    def await_ready(self, number: int) -> None:
        """Wait for a replica. Raises `QorumError`."""
        deadline = time.monotonic() + READY_S
        while (left := deadline - time.monotonic()) > 0 and self._pipes[number].poll(left):
            if isinstance(self._pipes[number].recv(), Ready):
                return
        raise QorumError(f"replica {number} was not ready within {READY_S:.0f} s")

    def restart(self, number: int) -> None:
        """Have one that is dead come back, and wait until it takes part."""
        self._processes[number].join(READY_S)
        self._start(number)
        self.await_ready(number)

    def kill_leader(self, random: Random) -> tuple[int, float]:
        """Have whoever leads kill itself: its number, and when. Raises `QorumError` if nobody leads for long."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            number = random.choice(self.alive)
            self._pipes[number].send("die if you lead")
            while self._pipes[number].poll(READY_S):
                told = self._pipes[number].recv()
                if isinstance(told, Dying):
                    return number, told.at
                if isinstance(told, Spared):
                    break
        raise QorumError(f"nobody led for {READY_S:.0f} s")

    @property
    def alive(self) -> list[int]:
        """Those that run."""
        return [number for number, process in self._processes.items() if process.is_alive()]

    def hear(self, timeout_s: float) -> list[tuple[int, Told]]:
        """What they tell next, and who tells it; nothing if they are silent for so long."""
        numbers = {id(pipe): number for number, pipe in self._pipes.items()}
        told = []
        for pipe in wait(list(self._pipes.values()), timeout_s):
            assert isinstance(pipe, Connection)
            number = numbers[id(pipe)]
            try:
                told.append((number, pipe.recv()))
            except (EOFError, OSError):
                del self._pipes[number]
        return told

    def close(self) -> None:
        """End all."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.join(READY_S)
        for pipe in self._pipes.values():
            pipe.close()
