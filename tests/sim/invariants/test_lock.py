"""The lock rule: fires on a vote against the lock, and on a lock that is not on disk."""

from __future__ import annotations

import hashlib

import msgspec

from qorum.core import wire
from qorum.core.consensus import Durable, Lock, proposal_bytes, vote_bytes
from qorum.core.effects import Sign
from qorum.core.messages import NO_TERM, Kind, Proposal, Votes
from qorum.core.votes import FIRST, SECOND
from qorum.sim.host import Host
from qorum.sim.invariants.lock import LockRule
from qorum.sim.invariants.watch import Watch
from tests.sim.invariants.histories import History, texts

HERE = 9
"""A round that the history has not reached."""


def vote(history: History, step: int, term: int, value: bytes) -> Sign:
    votes = Votes(step, HERE, term, hashlib.sha256(value).digest(), NO_TERM, b"\1", bytes(64))
    kind = Kind.FIRST_VOTE if step == FIRST else Kind.SECOND_VOTE
    return Sign(kind, HERE, term, wire.encode(votes), vote_bytes(history.cluster.genesis.federation, 0, votes))


def locked(history: History) -> tuple[Watch, Host]:
    """A watch that has seen member 0 lock b"a" in term 1."""
    watch, host = history.watch(LockRule), history.cluster.hosts[0]
    lock = Lock(hashlib.sha256(b"a").digest(), 1)
    host.disk.write(wire.encode(Durable(HERE, 1, 2, lock=lock)))
    watch.carried_out(host, vote(history, SECOND, 1, b"a"))
    assert watch.violations == []
    return watch, host


def certified(history: History, term: int, cited: int, signers: int = 3) -> Proposal:
    """A proposal of b"b" that cites first votes of a term."""
    unsigned = Votes(FIRST, HERE, cited, hashlib.sha256(b"b").digest(), NO_TERM, bytes([(1 << signers) - 1]), b"")
    data = vote_bytes(history.cluster.genesis.federation, 0, unsigned)
    signatures = b"".join(history.cluster.keys.sign(seat, data) for seat in range(signers))
    votes = msgspec.structs.replace(unsigned, signatures=signatures)
    proposal = Proposal(HERE, term, b"b", b"", votes, bytes(64))
    assert proposal_bytes(history.cluster.genesis.federation, 0, proposal)
    return proposal


def test_it_fires_on_a_vote_for_another_value() -> None:
    history = History()
    watch, host = locked(history)
    watch.carried_out(host, vote(history, FIRST, 2, b"b"))
    assert "member 0, locked in term 1, votes for another value in 9.2" in texts(watch.violations)


def test_the_same_value_and_a_newer_certificate_are_free() -> None:
    history = History()
    watch, host = locked(history)
    watch.carried_out(host, vote(history, FIRST, 2, b"a"))
    host.member.consensus.proposals[3] = certified(history, 3, cited=1)
    watch.carried_out(host, vote(history, FIRST, 3, b"b"))
    assert watch.violations == []


def test_it_fires_on_an_older_certificate_and_on_none() -> None:
    history = History()
    watch, host = locked(history)
    host.member.consensus.proposals[3] = certified(history, 3, cited=0)
    watch.carried_out(host, vote(history, FIRST, 3, b"b"))
    host.member.consensus.proposals[4] = certified(history, 4, cited=2, signers=2)
    watch.carried_out(host, vote(history, FIRST, 4, b"b"))
    assert len(watch.violations) == 2


def test_it_fires_on_a_second_vote_without_a_durable_lock() -> None:
    history = History()
    watch, host = history.watch(LockRule), history.cluster.hosts[0]
    host.disk.write(wire.encode(Durable(HERE, 1, 2)))
    watch.carried_out(host, vote(history, SECOND, 1, b"a"))
    assert "without a durable lock" in texts(watch.violations)
