"""`Genesis`: what every member of a federation must hold alike; its hash is the federation's id."""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from qorum.config import FederationConfig
from qorum.core.quorum import Quorum
from qorum.core.roster import MAX_SEATS, Roster, Seat
from qorum.errors import ConfigError
from qorum.merge.rules import Rules


class Genesis(msgspec.Struct, frozen=True, dict=True):
    """The founding members and the configuration. A member's index is its place in `public_keys`."""

    public_keys: tuple[bytes, ...]
    """Ed25519 keys, 32 bytes each, all different."""
    config: FederationConfig

    def __post_init__(self) -> None:
        count = len(self.public_keys)
        if not 1 <= count <= MAX_SEATS:
            raise ConfigError(f"a federation of {count} members; allowed: 1 to {MAX_SEATS}")
        if len(set(self.public_keys)) != count or any(len(key) != 32 for key in self.public_keys):
            raise ConfigError(
                "public_keys holds a key twice or one that is not 32 bytes; give each member its own"
            )

    @cached_property
    def federation(self) -> bytes:
        """32 bytes that name this federation; part of everything its members sign."""
        return hashlib.sha256(
            msgspec.msgpack.encode([self.public_keys, self.config], order="deterministic")
        ).digest()

    @cached_property
    def roster(self) -> Roster:
        """The founding members: epoch 0."""
        return Roster(self.federation, self.config, tuple(Seat((key,)) for key in self.public_keys))

    @property
    def members(self) -> int:
        """Founding members."""
        return len(self.public_keys)

    @property
    def quorum(self) -> Quorum:
        """Sizes of epoch 0."""
        return self.roster.quorum

    @property
    def rules(self) -> Rules:
        """The numbers of the merge in epoch 0."""
        return self.roster.rules

    @property
    def agrees(self) -> bool:
        """Whether the founding members are enough to agree on rounds."""
        return self.roster.agrees

    def leader(self, round: int, term: int) -> int:
        """The founding member scheduled for (round, term) if all had a part in the round before."""
        order = self.roster.order(round)
        return order[term % len(order)]
