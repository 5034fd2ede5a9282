"""The chain of values."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import hash_of, value_of


class Chain(Invariant):
    """For all commits of a round k: value(k).round = k, value(k).previous = hash(value(k-1)), and the certificate is
    for hash(value(k))."""

    name = "chain"
    watches = (Committed,)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check one commit."""
        assert isinstance(effect, Committed)
        round, value = effect.state.round, value_of(effect.commit)
        before = self.ledger.values.get(round - 1, value.previous)
        if (value.round, effect.commit.certificate.round) != (round, round):
            self.violated(f"{named(host)} commits round {round} with a value of round {value.round}")
        if value.previous != before:
            self.violated(f"round {round} of {named(host)} does not cite the value of round {round - 1}")
        if effect.commit.certificate.value != hash_of(effect.commit.value):
            self.violated(f"the certificate of round {round} of {named(host)} is for another value")
