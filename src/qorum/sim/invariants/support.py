"""A commit is held by enough honest members to outlive everything that is tolerated."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect, Sign
from qorum.core.messages import NIL, Kind, Votes
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import Ledger, message_of


class Support(Invariant):
    """For all commits of v in (k, t): >= q - f honest members (n - 2f where q = n - f) had cast their second vote of
    (k, t) for v, and so locked it, before anybody honest committed."""

    name = "support"
    watches = (Committed, Sign)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._voted: dict[tuple[int, int, bytes], set[bytes]] = {}
        """(round, term, value) -> honest keys that signed a second vote for it."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Count second votes; check a commit."""
        if isinstance(effect, Sign):
            if effect.kind is Kind.SECOND_VOTE:
                votes = message_of(effect.body)
                if isinstance(votes, Votes) and votes.value != NIL:
                    self._voted.setdefault((votes.round, votes.term, votes.value), set()).add(host.key)
        elif isinstance(effect, Committed):
            self._check(host, effect)

    def _check(self, host: Host, effect: Committed) -> None:
        certificate = effect.commit.certificate
        quorum = self.ledger.roster(certificate.round).quorum
        held = len(self._voted.get((certificate.round, certificate.term, certificate.value), ()))
        if held < quorum.size - quorum.tolerated:
            place = f"{certificate.round}.{certificate.term}"
            self.violated(f"{named(host)} commits {place}, which only {held} honest members voted for")
