"""`Resident`: an agent that lives in one thread while its member, in that of the event loop, asks and tells it."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any

from qorum.agent import QAgent
from qorum.evidence import Evidence
from qorum.qtable import QTable


class Resident(QAgent):
    """A `QAgent` that may be used in one thread and hosted in another. Takes the arguments of `QAgent`."""

    def __init__(self, n_actions: int, **fields: Any) -> None:
        self._lock = RLock()
        self._told: int | None = None
        self.next_due: Callable[[], int | None] = lambda: None
        """Interactions at which the host wants to be told of them."""
        self.tell: Callable[[], None] = lambda: None
        """Called once for each such number, in the thread of the agent."""
        super().__init__(n_actions, **fields)

    def act(self, obs: Any) -> int:
        """See `QAgent.act`."""
        with self._lock:
            return super().act(obs)

    def greedy(self, obs: Any) -> int:
        """See `QAgent.greedy`."""
        with self._lock:
            return super().greedy(obs)

    def adopt(self, table: QTable) -> None:
        """See `QAgent.adopt`."""
        with self._lock:
            super().adopt(table)

    def evidence(self, agreed: QTable) -> Evidence:
        """See `QAgent.evidence`."""
        with self._lock:
            return super().evidence(agreed)

    def dump(self) -> bytes:
        """See `QAgent.dump`."""
        with self._lock:
            return super().dump()

    @property
    def steady(self) -> bool:
        """See `QAgent.steady`."""
        with self._lock:
            return super().steady

    @property
    def table(self) -> QTable:
        """See `QAgent.table`."""
        with self._lock:
            return super().table

    def _apply(self, state: int, action: int, reward: float, next_state: int, terminated: bool, target: float) -> None:
        with self._lock:
            super()._apply(state, action, reward, next_state, terminated, target)
        due = self.next_due()
        if due is not None and self.interactions >= due and due != self._told:
            self._told = due
            self.tell()
