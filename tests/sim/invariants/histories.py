"""Good histories to tamper with: a short run of honest members, with all they did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

import msgspec

from qorum.config import FederationConfig
from qorum.core import wire
from qorum.core.effects import Committed, Effect, Sign
from qorum.core.genesis import Genesis
from qorum.core.messages import Commit, Kind, Value
from qorum.sim.cluster import Cluster, random_columns
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Violation
from qorum.sim.invariants.ledger import hash_of
from qorum.sim.invariants.watch import Watch
from qorum.sim.keys import quick_keys
from qorum.sim.network import Links

E = TypeVar("E")


class History:
    """A cluster after some rounds, and the effects of its hosts in order."""

    def __init__(self, members: int = 4, rounds: int = 3, liars: Iterable[int] = ()) -> None:
        keys = quick_keys(1, members)
        config = FederationConfig(collect_ms=20, gossip_tick_ms=100, gossip_flush_ms=10)
        self.cluster = Cluster(Genesis(keys.public, config), keys, 1, Links(delay=(0.005, 0.01)), liars=tuple(liars))
        self.cluster.witnesses.append(self)
        self.effects: list[tuple[Host, Effect]] = []
        random = Random(1)
        self.cluster.write = lambda host: random_columns(random, 8, 2)
        self.cluster.start()
        while min(host.member.state.round for host in self.cluster.hosts) < rounds:
            self.cluster.contribute(self.cluster.hosts[0], random_columns(random, 8, 2))
            self.cluster.run(self.cluster.now + 0.2)

    def carried_out(self, host: Host, effect: Effect) -> None:
        self.effects.append((host, effect))

    def of(self, kind: type[E], host: int = 0, where: Callable[[Any], bool] = lambda effect: True) -> list[E]:
        """All effects of a kind of one host."""
        return [e for h, e in self.effects if h.address == host and isinstance(e, kind) and where(e)]

    def committed(self, round: int, host: int = 0) -> Committed:
        """A host's commit of a round."""
        return self.of(Committed, host, lambda effect: effect.state.round == round)[0]

    def first_to_commit(self, round: int) -> tuple[Host, Committed]:
        """Whoever was first, and its commit."""
        commits = ((h, e) for h, e in self.effects if isinstance(e, Committed) and e.state.round == round)
        return next(commits)

    def signs(self, kind: Kind, host: int = 0) -> list[Sign]:
        """All signatures of a kind of one host."""
        return self.of(Sign, host, lambda effect: effect.kind is kind)

    def watch(self, kind: type[Invariant], until: Effect | None = None) -> Watch:
        """A watch of one invariant that has seen this history, as far as `until`, and found nothing wrong."""
        watch = Watch(self.cluster, [kind])
        for host, effect in self.effects:
            if effect is until:
                break
            watch.carried_out(host, effect)
        watch.check()
        assert watch.violations == []
        return watch


def with_value(effect: Committed, **fields: Any) -> Committed:
    """The same commit of a value with some fields changed, cited as it should be."""
    value = wire.encode(msgspec.structs.replace(wire.decode_body(Value, effect.commit.value), **fields))
    certificate = msgspec.structs.replace(effect.commit.certificate, value=hash_of(value))
    return replace(effect, commit=Commit(value, certificate))


def texts(violations: Iterable[Violation]) -> str:
    return "\n".join(violation.text for violation in violations)
