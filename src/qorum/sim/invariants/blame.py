"""Honest members do not blame each other."""

from __future__ import annotations

from qorum.core.effects import Blame, Effect
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import Invariant, named


class BlameOfLiarsOnly(Invariant):
    """For all honest i and Blame(j) of i: j is a liar. Links change no bytes, and nobody honest passes on what it
    has not checked."""

    name = "blame-of-liars-only"
    watches = (Blame,)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Look who is blamed."""
        assert isinstance(effect, Blame)
        for other in self.scene.owners(host.member.roster, effect.peer):
            if other.honest:
                self.violated(f"{named(host)} blames {named(other)}, which is honest: {effect.reason}")
