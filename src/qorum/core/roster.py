"""`Roster`: who the members are, epoch by epoch, and all that follows from it: quorum, leaders, rules of the merge.

A seat is an index that a member keeps for good; a leaver's is never given to somebody else, and a new key for a seat
raises its incarnation. One roster decides one round, so no round ever counts votes by two.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec

from qorum.config import FederationConfig
from qorum.core.messages import Change, Count, Evict, Join, Key, Leave, Record, Rekey
from qorum.core.quorum import Quorum
from qorum.errors import UNREADABLE, ProtocolError
from qorum.merge.rules import Rules

MAX_SEATS = 4096  # beyond it a register could carry fewer visits than a merge can use
CHANGE_ROUNDS = 10
"""Rounds over which changes of membership are counted."""
CHANGE_SHARE = 10
"""At most one change for so many members in that time: rosters that close share most of a quorum."""


class Seat(Record, frozen=True):
    """One member's place."""

    keys: tuple[Key, ...]
    """Ed25519 keys, one an incarnation; the last is in force."""
    joined: Count = 0
    """Round before the first that it decides."""
    active: bool = True

    @property
    def incarnation(self) -> int:
        """How often it changed its key."""
        return len(self.keys) - 1


class _Stored(Record, frozen=True):
    epoch: Count
    changes: tuple[Count, ...]
    seats: tuple[Seat, ...]


_stored = msgspec.msgpack.Decoder(_Stored)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True)
class Roster:
    """The members of one epoch. Immutable; equal hashes mean equal rosters of one federation."""

    federation: bytes
    """Id of the federation: the hash of its genesis."""
    config: FederationConfig
    seats: tuple[Seat, ...]
    epoch: int = 0
    """Counts the changes of membership."""
    changes: tuple[int, ...] = ()
    """Rounds of the latest changes, ascending; those too old to count may be missing."""

    # --- bytes ---

    def to_bytes(self) -> bytes:
        """Canonical bytes; federation and configuration, which never change, are no part of them."""
        return _encoder.encode(_Stored(self.epoch, self.changes, self.seats))

    @cached_property
    def hash(self) -> bytes:
        """32 bytes that name this roster."""
        return hashlib.sha256(self.to_bytes()).digest()

    def decode(self, data: bytes) -> Roster:
        """Another roster of this federation, from its bytes. The caller checks its hash; raises `ProtocolError`."""
        try:
            stored = _stored.decode(data)
        except UNREADABLE as error:
            raise ProtocolError(f"bytes are not a roster: {error}") from error
        if not 1 <= len(stored.seats) <= MAX_SEATS or any(not seat.keys for seat in stored.seats):
            raise ProtocolError(f"a roster of {len(stored.seats)} seats, or a seat without a key")
        return replace(self, seats=stored.seats, epoch=stored.epoch, changes=stored.changes)

    # --- what follows from it ---

    @property
    def members(self) -> int:
        """Seats, given up ones included: what indices and masks range over."""
        return len(self.seats)

    @cached_property
    def active(self) -> tuple[int, ...]:
        """Indices of the members, ascending."""
        return tuple(index for index, seat in enumerate(self.seats) if seat.active)

    @cached_property
    def active_mask(self) -> int:
        """The members as a bit mask."""
        return sum(1 << index for index in self.active)

    @cached_property
    def quorum(self) -> Quorum:
        """Sizes of this epoch: n is the number of active seats."""
        return Quorum.of(len(self.active), self.config.byzantine_threshold)

    @cached_property
    def rules(self) -> Rules:
        """The numbers of the merge."""
        return Rules.of(self.config, self.members, self.quorum.tolerated)

    @property
    def agrees(self) -> bool:
        """Whether there are members enough to agree on rounds; fewer only gossip."""
        return len(self.active) >= self.config.min_peers_for_consensus

    def key(self, member: int) -> bytes:
        """The key in force of a member."""
        return self.seats[member].keys[-1]

    @cached_property
    def known_keys(self) -> frozenset[bytes]:
        """Every key that any seat ever had."""
        return frozenset(key for seat in self.seats for key in seat.keys)

    def seat_of(self, key: bytes) -> int | None:
        """Index of the active member with this key in force."""
        return self._seat_of.get(key)

    @cached_property
    def _seat_of(self) -> dict[bytes, int]:
        return {self.key(index): index for index in self.active}

    def order(self, round: int) -> list[int]:
        """The members in the order drawn for a round: a permutation for each, so that no one can choose its turn."""

        def rank(member: int) -> bytes:
            place = self.epoch.to_bytes(4, "big") + round.to_bytes(8, "big") + member.to_bytes(2, "big")
            return hashlib.sha256(self.federation + place).digest()

        return sorted(self.active, key=rank)

    # --- the next one ---

    def has_room(self, round: int) -> bool:
        """Whether `round` may change the membership: one change a round, few in any ten."""
        recent = sum(changed > round - CHANGE_ROUNDS for changed in self.changes)
        return recent < max(1, len(self.active) // CHANGE_SHARE)

    def after(self, change: Change, round: int) -> Roster:
        """The roster that a change agreed in `round` leads to, in force from the next round on."""
        seats = list(self.seats)
        match change:
            case Join(key):
                seats.append(Seat((key,), joined=round))
            case Rekey(member, _, key):
                seats[member] = msgspec.structs.replace(seats[member], keys=(*seats[member].keys, key))
            case Leave(member) | Evict(member):
                seats[member] = msgspec.structs.replace(seats[member], active=False)
        recent = tuple(changed for changed in self.changes if changed > round - CHANGE_ROUNDS)
        return replace(self, seats=tuple(seats), epoch=self.epoch + 1, changes=(*recent, round))
