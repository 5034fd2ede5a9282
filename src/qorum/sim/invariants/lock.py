"""The lock: what makes a decision of an earlier term survive (arXiv 1807.04938, lines 22 to 33 and 36 to 43)."""

from __future__ import annotations

from qorum.core.consensus import Lock
from qorum.core.effects import Effect, Sign
from qorum.core.messages import NIL, Kind, Votes
from qorum.core.votes import FIRST
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import Ledger, durable_of, message_of


class LockRule(Invariant):
    """For all honest keys and first votes for v in (k, t), with w in term b the key's last second vote for a value
    before t: w = v, or the proposal voted for cites a first certificate for v of a term c with b <= c < t.
    And whoever signs a second vote for v in (k, t) has on its disk a lock of term > t, or (v, t), or a later round."""

    name = "lock-rule"
    watches = (Sign,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._locks: dict[tuple[bytes, int], list[Lock]] = {}
        """(key, round) -> what its second votes bound it to, in order of term."""
        self._voted: set[tuple[bytes, int, int]] = set()
        """(key, round, term) of first votes seen; a restart may send one again when the lock has moved on."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check a vote for a value."""
        assert isinstance(effect, Sign)
        if effect.kind not in (Kind.FIRST_VOTE, Kind.SECOND_VOTE):
            return
        votes = message_of(effect.body)
        assert isinstance(votes, Votes)
        if votes.value == NIL:
            return
        if effect.kind is Kind.SECOND_VOTE:
            self._bind(host, votes)
        elif (slot := (host.key, votes.round, votes.term)) not in self._voted:
            self._voted.add(slot)
            self._check_first(host, votes)

    def _bind(self, host: Host, votes: Votes) -> None:
        self._locks.setdefault((host.key, votes.round), []).append(Lock(votes.value, votes.term))
        record = durable_of(host.disk.record) if host.disk.record else None
        if record is not None and record.round == votes.round:
            lock = record.lock
            held = lock is not None and (lock.term > votes.term or lock == Lock(votes.value, votes.term))
        else:
            held = record is not None and record.round > votes.round
        if not held:
            self.violated(f"{named(host)} casts a second vote in {votes.round}.{votes.term} without a durable lock")

    def _check_first(self, host: Host, votes: Votes) -> None:
        locks = [lock for lock in self._locks.get((host.key, votes.round), ()) if lock.term < votes.term]
        lock = max(locks, key=lambda lock: lock.term, default=None)
        if lock is None or lock.value == votes.value:
            return
        proposal = host.member.consensus.proposals.get(votes.term)
        cited = proposal.cited if proposal is not None else None
        frees = (
            cited is not None
            and (cited.round, cited.value) == (votes.round, votes.value)
            and lock.term <= cited.term < votes.term
            and self.ledger.proves(cited, FIRST)
        )
        if not frees:
            place = f"{votes.round}.{votes.term}"
            self.violated(f"{named(host)}, locked in term {lock.term}, votes for another value in {place}")
