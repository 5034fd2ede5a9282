"""`Genesis`: what every member of a federation must hold alike; its hash is the federation's id."""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from qorum.config import FederationConfig
from qorum.core.quorum import Quorum
from qorum.errors import ConfigError
from qorum.merge.rules import Rules

MAX_MEMBERS = 4096  # beyond it a register could carry fewer visits than a merge can use


class Genesis(msgspec.Struct, frozen=True, dict=True):
    """The founding members and the configuration. A member's index is its place in `public_keys`."""

    public_keys: tuple[bytes, ...]
    """Ed25519 keys, 32 bytes each, all different."""
    config: FederationConfig

    def __post_init__(self) -> None:
        count = len(self.public_keys)
        if not 1 <= count <= MAX_MEMBERS:
            raise ConfigError(f"a federation of {count} members; allowed: 1 to {MAX_MEMBERS}")
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
    def quorum(self) -> Quorum:
        """Sizes of this federation."""
        return Quorum.of(len(self.public_keys), self.config.byzantine_threshold)

    @cached_property
    def rules(self) -> Rules:
        """The numbers of the merge."""
        return Rules.of(self.config, len(self.public_keys), self.quorum.tolerated)

    @property
    def members(self) -> int:
        """n."""
        return len(self.public_keys)

    @property
    def agrees(self) -> bool:
        """Whether there are members enough to agree on rounds; fewer only gossip."""
        return self.members >= self.config.min_peers_for_consensus

    def leader(self, round: int, term: int) -> int:
        """The member scheduled for (round, term): a permutation per round, so that no one can choose its turn."""
        return self._order(round)[term % self.members]

    def _order(self, round: int) -> list[int]:
        cached = self.__dict__.get("_last_order")
        if cached is None or cached[0] != round:
            cached = self.__dict__["_last_order"] = (round, self._permute(round))
        order: list[int] = cached[1]
        return order

    def _permute(self, round: int) -> list[int]:
        def rank(member: int) -> bytes:
            seed = self.federation + round.to_bytes(8, "big") + member.to_bytes(2, "big")
            return hashlib.sha256(seed).digest()

        return sorted(range(self.members), key=rank)
