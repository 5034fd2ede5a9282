"""Certificates are quorums."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect, Persist
from qorum.core.messages import Votes
from qorum.core.votes import FIRST, SECOND
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import durable_of


class Certificates(Invariant):
    """Every certificate of a round k that an honest member acts on (of a commit, its best, of a proposal it holds) has
    >= q(k) distinct signers, each with a seat in roster(k), whose signatures verify under the keys in force there."""

    name = "certificates"
    watches = (Committed, Persist)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check again what the member has checked."""
        if isinstance(effect, Committed):
            self._check(host, effect.commit.certificate, SECOND)
        elif isinstance(effect, Persist):
            best = durable_of(effect.record).best
            cited = [p.cited for p in host.member.consensus.proposals.values()]
            for votes in (best, *cited):
                if votes is not None:
                    self._check(host, votes, FIRST)

    def _check(self, host: Host, votes: Votes, step: int) -> None:
        if not self.ledger.proves(votes, step):
            place = f"{votes.round}.{votes.term}"
            self.violated(f"{named(host)} acts on {votes.mask.bit_count()} votes of {place} that are no certificate")
