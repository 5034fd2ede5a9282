"""After the faults are over the federation goes on."""

from __future__ import annotations

from qorum.core.effects import Committed, Effect
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, Scene, named
from qorum.sim.invariants.ledger import Ledger


def terms_allowed(members: int) -> int:
    """Terms, counted from the furthest one that anybody honest is in, within which a healed round is over.

    Two rotations of the leader: in the first one the members come together in a term and its delays grow past what the
    network takes; in the second one an honest leader knows the newest certificate.
    """
    return 2 * members


class Progress(Invariant):
    """All honest members that are up after the heal commit a round of which none was over then, the next round within
    `terms_allowed` of the furthest term, and at the end those in the same round have equal states."""

    name = "progress"
    watches = (Committed,)

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._round: int | None = None
        """Newest round that was over when the faults were."""
        self._term = 0
        self.waiting: set[int] = set()
        """Addresses of the hosts that have still to commit a newer one."""

    def healed(self, scene: Scene) -> None:
        """Note where everybody is."""
        up = self.up(scene)
        self._round = max((host.member.state.round for host in up), default=0)
        terms = [host.member.consensus.term for host in up if host.member.consensus.round == self._round + 1]
        self._term = max(terms, default=0)
        self.waiting = {host.address for host in up}

    def carried_out(self, host: Host, effect: Effect) -> None:
        """A host goes on."""
        assert isinstance(effect, Committed)
        if self._round is None or effect.state.round <= self._round:
            return
        self.waiting.discard(host.address)
        furthest = self._term if effect.state.round == self._round + 1 else 0
        limit = furthest + terms_allowed(len(self.ledger.roster(effect.state.round).active))
        if effect.term > limit:
            self.violated(f"{named(host)} commits round {effect.state.round} in term {effect.term}, not by {limit}")

    @property
    def outstanding(self) -> bool:
        """Whether some host has still to go on. One that is over its terms is waited for no longer."""
        return bool(self.waiting) and not self.violations

    def at_end(self, scene: Scene) -> None:
        """Everybody went on, to one and the same state."""
        if self._round is None:
            return
        for host in self.up(scene):
            member = host.member
            if host.address in self.waiting:
                place = f"{member.consensus.round}.{member.consensus.term}"
                self.violated(f"{named(host)} has committed nothing after round {self._round}; it is in {place}")
        states = {(host.member.state.round, host.member.state.hash) for host in self.up(scene)}
        if len(states) != len({round for round, _ in states}):
            self.violated(f"states of one round differ: {sorted(round for round, _ in states)}")
