"""`Trace`: every message and every act of a small run, for a picture of it in space and time."""

from __future__ import annotations

from typing import NamedTuple

from qorum.core.effects import Committed, Effect, Persist, Sign
from qorum.core.messages import Kind
from qorum.errors import ProtocolError
from qorum.sim.cluster import Cluster
from qorum.sim.faults import kind_of
from qorum.sim.host import Host
from qorum.sim.invariants.ledger import durable_of

ACTS = {
    Kind.CONTRIBUTION: "contributes",
    Kind.PROPOSAL: "proposes",
    Kind.FIRST_VOTE: "first vote",
    Kind.SECOND_VOTE: "second vote",
}


class Arrow(NamedTuple):
    """A frame that arrived."""

    sent: float
    arrived: float
    sender: int
    to: int
    kind: str
    """As `faults.kind_of` names it."""


class Mark(NamedTuple):
    """Something that a member did."""

    time: float
    host: int
    act: str
    round: int
    term: int


class Trace:
    """What happened so far. A `Witness`; it also sees every frame when it is sent and when it arrives."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._under_way: dict[tuple[int, int, bytes], list[float]] = {}
        self._locks: dict[int, tuple[int, int]] = {}
        self._deliver, cluster.network.deliver = cluster.network.deliver, self._arrived
        cluster.network.sieves.insert(0, self._sent)
        self.arrows: list[Arrow] = []
        self.marks: list[Mark] = []

    def _sent(self, sender: int, to: int, frame: bytes) -> bool:
        """A sieve that catches nothing."""
        self._under_way.setdefault((sender, to, frame), []).append(self._cluster.now)
        return False

    def _arrived(self, to: int, sender: int, frame: bytes) -> None:
        times = self._under_way.get((sender, to, frame))
        if times and self._cluster.hosts[to].up:
            sent = times.pop(0) if len(times) > 1 else self._under_way.pop((sender, to, frame))[0]
            self.arrows.append(Arrow(sent, self._cluster.now, sender, to, _kind(frame)))
        self._deliver(to, sender, frame)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Note what matters."""
        if isinstance(effect, Sign) and effect.kind in ACTS:
            round = effect.round + 1 if effect.kind is Kind.CONTRIBUTION else effect.round
            self._mark(host, ACTS[effect.kind], round, effect.term)
        elif isinstance(effect, Committed):
            self._mark(host, "commits", effect.state.round, effect.term)
        elif isinstance(effect, Persist):
            record = durable_of(effect.record)
            place = (record.round, record.lock.term) if record.lock else None
            if place is not None and place != self._locks.get(host.address):
                self._locks[host.address] = place
                self._mark(host, "locks", *place)

    def _mark(self, host: Host, act: str, round: int, term: int) -> None:
        self.marks.append(Mark(self._cluster.now, host.address, act, round, term))


def _kind(frame: bytes) -> str:
    try:
        return kind_of(frame)
    except ProtocolError:
        return "malformed"
