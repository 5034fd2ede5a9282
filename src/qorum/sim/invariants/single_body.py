"""An honest member signs one body for one slot, whatever happens to it."""

from __future__ import annotations

from qorum.core import wire
from qorum.core.effects import Effect, Sign
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named
from qorum.sim.invariants.ledger import Ledger


class SingleBody(Invariant):
    """For all honest keys, over all their lives, and slots s: |{body signed for s}| <= 1. Slots: (kind, epoch, k, t) of
    votes and proposals, (incarnation, seq) of contributions."""

    name = "single-body"
    watches = (Sign,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._signed: dict[tuple[bytes, bytes], bytes] = {}
        """(key, all that is signed but the hash of the body) -> that hash."""

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Compare with what was signed for the slot before."""
        assert isinstance(effect, Sign)
        kind, *place, body = wire.signed_parts(effect.data)
        if self._signed.setdefault((host.key, effect.data[: -len(body)]), body) != body:
            self.violated(f"{named(host)} signs a second {kind.name} for epoch, round and term {place}")
