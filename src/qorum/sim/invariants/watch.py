"""`Watch`: feeds the invariants of a run and collects what they report. A `Witness` of a cluster or a stage."""

from __future__ import annotations

from collections.abc import Sequence

from qorum.core.effects import Effect
from qorum.sim.host import Host
from qorum.sim.invariants.admission import Admission
from qorum.sim.invariants.agreement import Agreement
from qorum.sim.invariants.blame import BlameOfLiarsOnly
from qorum.sim.invariants.buffers import BoundedBuffers
from qorum.sim.invariants.certificates import Certificates
from qorum.sim.invariants.chain import Chain
from qorum.sim.invariants.cut import CutValidity
from qorum.sim.invariants.durability import Durability
from qorum.sim.invariants.epoch import RightEpoch
from qorum.sim.invariants.epochs import Epochs
from qorum.sim.invariants.eviction import Eviction
from qorum.sim.invariants.evidence import TrueEvidence
from qorum.sim.invariants.invariant import Invariant, Scene, Violation
from qorum.sim.invariants.ledger import Ledger
from qorum.sim.invariants.lock import LockRule
from qorum.sim.invariants.membership import Membership
from qorum.sim.invariants.one_certificate import OneCertificate
from qorum.sim.invariants.place import RisingPlace
from qorum.sim.invariants.progress import Progress
from qorum.sim.invariants.result import Result
from qorum.sim.invariants.retention import Retention
from qorum.sim.invariants.single_body import SingleBody
from qorum.sim.invariants.support import Support
from qorum.sim.invariants.versions import Versions

SAFETY: tuple[type[Invariant], ...] = (
    Agreement, Chain, OneCertificate, Certificates, SingleBody, RisingPlace, LockRule, Result, CutValidity, Support,
    Versions, BoundedBuffers, RightEpoch, Epochs, Membership, TrueEvidence, Durability, BlameOfLiarsOnly,
)  # fmt: skip
"""Hold at every moment."""
LIVENESS: tuple[type[Invariant], ...] = (Retention, Progress, Admission, Eviction)
"""Hold at the end of a run that healed."""
INVARIANTS = SAFETY + LIVENESS


class Watch:
    """Some invariants of one run."""

    def __init__(self, scene: Scene, kinds: Sequence[type[Invariant]] = INVARIANTS) -> None:
        self.scene = scene
        self.ledger = Ledger(scene)
        self.invariants = [kind(self.ledger) for kind in kinds]
        self._by_effect: dict[type, list[Invariant]] = {}
        for invariant in self.invariants:
            for effect in invariant.watches:
                self._by_effect.setdefault(effect, []).append(invariant)

    @property
    def violations(self) -> list[Violation]:
        """What did not hold so far, in order of time."""
        return sorted((v for invariant in self.invariants for v in invariant.violations), key=lambda v: v.time)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """A host has carried out an effect; what liars do is their affair."""
        if host.honest:
            self.ledger.note(host, effect)
            for invariant in self._by_effect.get(type(effect), ()):
                invariant.carried_out(host, effect)

    def check(self) -> None:
        """Look at the hosts as they are; call it after events, or every few of them."""
        for invariant in self.invariants:
            invariant.checked(self.scene)

    def healed(self) -> None:
        """All faults are over from now on."""
        for invariant in self.invariants:
            invariant.healed(self.scene)

    def end(self) -> list[Violation]:
        """The run is over; returns all that did not hold."""
        self.check()
        for invariant in self.invariants:
            invariant.at_end(self.scene)
        return self.violations
