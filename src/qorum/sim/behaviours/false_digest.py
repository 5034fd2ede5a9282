"""False digests: claims to hold what it does not, and hides what it does."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from qorum.core import wire
from qorum.core.messages import NO_TERM, PLACE_BYTES, Announce, Digest, Message, Root
from qorum.sim.behaviours.behaviour import Behaviour


class FalseDigest(Behaviour):
    """States versions, vote masks, roots and announcements that are not so."""

    name = "false-digest"

    def says(self, to: int, message: Message) -> Iterable[Message]:
        """Something else."""
        if isinstance(message, Root):
            return (msgspec.structs.replace(message, root=self.random.randbytes(len(message.root))),)
        if isinstance(message, Announce):
            made_up = self.random.randbytes(PLACE_BYTES * self.random.randrange(1, 20))
            return (message, Announce(made_up))
        return (self._false(message) if isinstance(message, Digest) else message,)

    def _false(self, digest: Digest) -> Digest:
        members = self.host.member.roster.members
        seqs = wire.from_planes(wire.unpack(digest.seqs, 4 * members), members, 4, "sketch")
        seqs += np.array([self.random.choice((-3, 0, 1, 2**31)) for _ in seqs])
        full, none = b"\xff" * len(digest.first), bytes(len(digest.first))
        return msgspec.structs.replace(
            digest,
            round=max(0, digest.round + self.random.choice((-3, -1, 0, 0, 0, 0, 1, 10**6))),
            seqs=wire.pack(wire.planes(np.clip(seqs, 0, 2**32 - 1))),
            first=self.random.choice((full, none)),
            second=self.random.choice((full, none)),
            holds_proposal=self.random.random() < 0.5,
            answer=self.random.random() < 0.8,
            best=self.random.choice((NO_TERM, digest.best, digest.term, 2**31 - 1)),
        )
