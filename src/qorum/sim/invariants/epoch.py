"""Nothing of another federation or epoch."""

from __future__ import annotations

from qorum.core import wire
from qorum.core.effects import Committed, Effect, Sign
from qorum.core.messages import Contribution, Kind
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import value_of


class RightEpoch(Invariant):
    """For all commits of a round k: value(k).epoch = epoch(k). For all votes and proposals of k that honest members
    sign: the bytes signed name this federation and epoch(k), and the key has a seat in it. For all contributions: they
    name this federation and the incarnation of which the key is."""

    name = "right-epoch"
    watches = (Committed, Sign)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Read the epoch off."""
        if isinstance(effect, Committed):
            epoch, round = value_of(effect.commit).epoch, effect.state.round
            if epoch != self.ledger.roster(round).epoch:
                self.violated(f"{named(host)} commits round {round} with a value of epoch {epoch}")
        elif isinstance(effect, Sign):
            federation, epoch = effect.data[1:33], wire.signed_parts(effect.data)[1]
            if federation != self.ledger.genesis.federation or not self._is_due(host, effect, epoch):
                self.violated(f"{named(host)} signs for epoch {epoch} in {effect.round}.{effect.term}")

    def _is_due(self, host: Host, effect: Sign, epoch: int) -> bool:
        if effect.kind is Kind.CONTRIBUTION:
            author = wire.decode_body(Contribution, effect.body).member
            keys = host.member.roster.seats[author].keys
            return epoch < len(keys) and keys[epoch] == host.key
        roster = self.ledger.roster(effect.round)
        return epoch == roster.epoch and roster.seat_of(host.key) is not None
