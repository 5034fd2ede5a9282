"""Agreement: the one invariant that all others serve."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named


class Agreement(Invariant):
    """For all honest i, j and rounds k: if both committed k, then value_i(k) = value_j(k). i = j over restarts too."""

    name = "agreement"
    watches = (Committed,)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Compare with whoever was first."""
        assert isinstance(effect, Committed)
        round, value = effect.state.round, effect.commit.certificate.value
        first = self.ledger.values[round]
        if value != first:
            place, mine, theirs = f"{round}.{effect.term}", value.hex()[:8], first.hex()[:8]
            self.violated(f"fork: {named(host)} commits {mine} in {place}, another host had committed {theirs}")
