"""Evidence of lying is proof."""

from __future__ import annotations

from qorum.core import wire
from qorum.core.effects import Effect, Equivocation
from qorum.core.messages import Evidence, Kind
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named


class TrueEvidence(Invariant):
    """For all Equivocation(j, slot, a, b) of honest members: j is a liar, the slot is one that an honest member signs
    one body for, a and b differ, and both carry a signature under the key that j had there."""

    name = "true-evidence"
    watches = (Equivocation,)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Check a proof."""
        assert isinstance(effect, Equivocation)
        evidence, key = effect.evidence, self._key(host, effect.evidence)
        what = f"{named(host)} holds a proof against member {effect.member}"
        if key is None:
            self.violated(f"{what}, which had no key in that slot")
        elif key not in self.ledger.liars:
            self.violated(f"{what}, which is honest, of signing two bodies")
        elif evidence.kind in (Kind.CONSENT, Kind.ENDORSEMENT) or evidence.bodies[0] == evidence.bodies[1]:
            self.violated(f"{what} of no two bodies for one slot")
        elif not all(self._holds(key, evidence, at) for at in range(2)):
            self.violated(f"{what} with a signature that does not verify")

    def _key(self, host: Host, evidence: Evidence) -> bytes | None:
        """The key of the member accused: of a contribution that of its incarnation, else the one of that epoch."""
        roster = self.ledger.by_epoch.get(evidence.epoch)
        if evidence.kind is Kind.CONTRIBUTION:
            seats = host.member.roster.seats
            keys = seats[evidence.member].keys if evidence.member < len(seats) else ()
            return keys[evidence.epoch] if evidence.epoch < len(keys) else None
        has_seat = roster is not None and evidence.member in roster.active
        return roster.key(evidence.member) if roster is not None and has_seat else None

    def _holds(self, key: bytes, evidence: Evidence, at: int) -> bool:
        place = (evidence.epoch, evidence.round, evidence.term)
        data = wire.signed_bytes(evidence.kind, self.ledger.genesis.federation, *place, evidence.bodies[at])
        return self.scene.keys.verify(key, data, evidence.signatures[at])
