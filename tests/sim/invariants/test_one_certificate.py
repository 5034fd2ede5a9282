"""One first certificate a term: fires on two."""

from __future__ import annotations

import msgspec

from qorum.core import wire
from qorum.core.consensus import Lock
from qorum.core.effects import Persist
from qorum.core.votes import FIRST, Slot
from qorum.sim.invariants.ledger import durable_of
from qorum.sim.invariants.one_certificate import OneCertificate
from tests.sim.invariants.histories import History, texts


def test_it_fires_on_a_lock_on_another_value() -> None:
    history = History()
    watch = history.watch(OneCertificate)
    record = next(durable_of(e.record) for e in history.of(Persist) if durable_of(e.record).lock)
    other = msgspec.structs.replace(record, lock=Lock(bytes(32), 0))
    watch.carried_out(history.cluster.hosts[1], Persist(wire.encode(other)))
    assert "two values are certified in 1.0; member 1 holds the second" in texts(watch.violations)


def test_it_fires_on_two_quorums_in_the_tallies() -> None:
    history = History()
    watch = history.watch(OneCertificate)
    for host, value in zip(history.cluster.hosts, (bytes(32), b"\1" * 32), strict=False):
        slot = Slot(masks={(value, -1): 0b0111})
        host.member.consensus.tally._slots[host.member.consensus.term, FIRST] = slot
    watch.check()
    assert "two values are certified" in texts(watch.violations)
