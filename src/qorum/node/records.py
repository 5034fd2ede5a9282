"""What is said over the JSON API, as records.

State hashes do not fit into the numbers of every JSON reader, so they are written as strings; read are both.
"""

from __future__ import annotations

from typing import Self

import msgspec

from qorum.config import EvidenceKind, FederationConfig
from qorum.core.roster import CHANGE_ROUNDS, Roster
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


class SeatView(msgspec.Struct, frozen=True, kw_only=True):
    """One member's place."""

    index: int
    keys: tuple[str, ...]
    """Public keys, in hex, one an incarnation; the last is in force."""
    active: bool
    """False once the member has left, or was evicted."""

    @property
    def incarnation(self) -> int:
        """How often it changed its key."""
        return len(self.keys) - 1


class RosterView(msgspec.Struct, frozen=True, kw_only=True):
    """Who the members are, as the answering node knows."""

    federation: str
    """Hash of the genesis, in hex."""
    round: int
    """Newest agreed round."""
    epoch: int
    """Changes of membership so far."""
    quorum: int
    """Members that have to endorse a change."""
    least: int
    """Members that rounds need: of so few none can be spared."""
    room_from: int
    """First round that may make another change: there are few in any ten."""
    seats: tuple[SeatView, ...]

    @classmethod
    def of(cls, roster: Roster, round: int) -> Self:
        """The membership that decides the round after `round`."""
        coming = range(round + 1, round + CHANGE_ROUNDS + 1)
        seats = enumerate(roster.seats)
        return cls(
            federation=roster.federation.hex(),
            round=round,
            epoch=roster.epoch,
            quorum=roster.quorum.size,
            least=roster.config.min_peers_for_consensus,
            room_from=next(filter(roster.has_room, coming)),
            seats=tuple(SeatView(index=i, keys=tuple(k.hex() for k in s.keys), active=s.active) for i, s in seats),
        )

    @property
    def active(self) -> int:
        """How many members there are."""
        return sum(seat.active for seat in self.seats)

    def seat_of(self, key: str) -> SeatView | None:
        """The seat of the member that goes by this key now."""
        return next((seat for seat in self.seats if seat.active and seat.keys[-1] == key), None)

    def knows(self, key: str) -> bool:
        """Whether any member ever went by this key."""
        return any(key in seat.keys for seat in self.seats)


class Filed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a petition: the federation is asked."""

    round: int
    """Newest agreed round: a later one may make the change."""


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
