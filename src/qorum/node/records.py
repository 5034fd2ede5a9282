"""What is said over the JSON API, as records.

State hashes do not fit into the numbers of every JSON reader, so they are written as strings; read are both.
"""

from __future__ import annotations

from typing import Self

import msgspec

from qorum.config import EvidenceKind, FederationConfig
from qorum.qtable import QTable


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the federation learns, and after how many steps it wants to hear."""

    n_actions: int
    gamma: float
    alpha: float
    initial_q: float
    evidence: EvidenceKind
    sync_after_interactions: int

    @classmethod
    def of(cls, config: FederationConfig) -> Self:
        """The task of a federation."""
        return cls(**{name: getattr(config, name) for name in cls.__struct_fields__})


class Steps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Transitions that an agent made elsewhere, as columns of one length."""

    state_hash: tuple[int, ...]
    action: tuple[int, ...]
    reward: tuple[float, ...]
    next_hash: tuple[int, ...]
    terminated: tuple[bool, ...]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to steps."""

    interactions: int
    """Steps that the member's agent has learned from by now, since its store began."""
    round: int
    """Newest agreed round: a table that was fetched in an older one may have moved."""


class Wait(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sync is asked with."""

    timeout_s: float = 10.0


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """A table: one row a cell."""

    round: int
    """Newest agreed round when it was read."""
    state_hash: tuple[str, ...]
    action: tuple[int, ...]
    value: tuple[float, ...]
    visits: tuple[int, ...]

    @classmethod
    def of(cls, round: int, table: QTable) -> Self:
        """The columns of a table."""
        return cls(
            round=round,
            state_hash=tuple(map(str, table.state_hash.tolist())),
            action=tuple(table.action.tolist()),
            value=tuple(table.value.tolist()),
            visits=tuple(table.visits.tolist()),
        )

    @property
    def table(self) -> QTable:
        """The table of these columns."""
        return QTable.from_columns(list(map(int, self.state_hash)), self.action, self.value, self.visits)
