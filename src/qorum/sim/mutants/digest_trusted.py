"""Versions taken from a digest."""

import msgspec

from qorum.core.member import Member
from qorum.core.messages import Digest
from qorum.sim.adversary import Bias
from qorum.sim.mutants.mutant import LIAR, Mutant


class Believer(Member):
    """Advances a version when somebody claims to hold it."""

    def _on_digest(self, peer: int, digest: Digest) -> None:
        super()._on_digest(peer, digest)
        for author, seq in enumerate(self.streams.read_sketch(digest.seqs).tolist()):
            tip = self.streams.tips[author]
            if seq > tip.seq:
                self.streams.tips[author] = msgspec.structs.replace(tip, seq=seq)


MUTANT = Mutant("digest-trusted", "a version moves only with a verified signed item", Believer,
                setups=(LIAR,), bias=Bias(boast=0.5))  # fmt: skip
