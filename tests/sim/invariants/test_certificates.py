"""Certificates: fires on too few votes and on bad signatures."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from qorum.core import wire
from qorum.core.effects import Persist
from qorum.core.messages import Votes
from qorum.sim.invariants.certificates import Certificates
from qorum.sim.invariants.ledger import durable_of
from tests.sim.invariants.histories import History, texts


def _of_two(votes: Votes) -> Votes:
    two = dict(list(votes.by_voter.items())[:2])
    mask = sum(1 << voter for voter in two)
    return msgspec.structs.replace(votes, voters=bytes([mask]), signatures=b"".join(two.values()))


def _forged(votes: Votes) -> Votes:
    return msgspec.structs.replace(votes, signatures=bytes(64) + votes.signatures[64:])


@pytest.mark.parametrize("tamper", [_of_two, _forged])
def test_it_fires_on_votes_that_are_no_certificate(tamper) -> None:  # type: ignore[no-untyped-def]
    history = History()
    watch = history.watch(Certificates)
    good = history.committed(2)
    commit = msgspec.structs.replace(good.commit, certificate=tamper(good.commit.certificate))
    watch.carried_out(history.cluster.hosts[0], replace(good, commit=commit))
    assert "that are no certificate" in texts(watch.violations)


def test_it_fires_on_a_bad_one_in_a_record() -> None:
    history = History()
    watch = history.watch(Certificates)
    record = next(durable_of(e.record) for e in history.of(Persist) if durable_of(e.record).best)
    assert record.best is not None
    other = msgspec.structs.replace(record, best=_forged(record.best))
    watch.carried_out(history.cluster.hosts[0], Persist(wire.encode(other)))
    assert "that are no certificate" in texts(watch.violations)
