"""The best certificate kept to oneself."""

import msgspec

from qorum.core.member import Member
from qorum.core.messages import MAX_CITATION_TERM, Digest
from qorum.sim.mutants.mutant import LIAR, LOCKING, TWIN, Mutant


class Reticent(Member):
    """Answers a digest as if its sender held the newest certificate."""

    def _on_digest(self, peer: int, digest: Digest) -> None:
        super()._on_digest(peer, msgspec.structs.replace(digest, best=MAX_CITATION_TERM))


MUTANT = Mutant("no-best-relay", "whoever holds a certificate that others lack passes it on", Reticent,
                setups=(LIAR, TWIN), bias=LOCKING)  # fmt: skip
