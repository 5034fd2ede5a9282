"""`Invariant`: a statement about all honest hosts of a run, and `Violation`: where one of them did not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec

from qorum.core.effects import Effect
from qorum.core.genesis import Genesis
from qorum.core.roster import Roster
from qorum.sim.host import NO_SEAT, Host
from qorum.sim.keys import Keys

if TYPE_CHECKING:
    from qorum.sim.invariants.ledger import Ledger

KEPT = 10
"""Violations kept of one invariant in one run; the first says it all."""


class Scene(Protocol):
    """The run that is watched: a `Cluster`, a lock-step stage, or a fabricated history."""

    @property
    def genesis(self) -> Genesis:
        """Of the federation."""

    @property
    def keys(self) -> Keys:
        """Of its members, present and to come."""

    @property
    def hosts(self) -> list[Host]:
        """All hosts, liars too; newcomers are added at the end."""

    def owners(self, roster: Roster, peer: int) -> list[Host]:
        """The hosts behind a peer, as a member with this roster knows it."""

    @property
    def now(self) -> float:
        """Virtual time [s], or a step number."""


class Violation(msgspec.Struct, frozen=True):
    """One invariant that did not hold."""

    name: str
    """Of the invariant."""
    text: str
    """Who, in which round and term, and what."""
    time: float
    """Virtual, seconds."""


class Invariant:
    """Base of all. A watch calls the hooks; what a hook finds wrong it reports with `violated`."""

    name: ClassVar[str]
    watches: ClassVar[tuple[type, ...]] = ()
    """Effects of honest hosts that `carried_out` is called for."""

    def __init__(self, ledger: Ledger) -> None:
        """ledger: what is known of the run, shared by all its invariants."""
        self.ledger = ledger
        self.scene = ledger.scene
        self.violations: list[Violation] = []

    def carried_out(self, host: Host, effect: Effect) -> None:
        """An honest host has carried out one of the effects in `watches`."""

    def checked(self, scene: Scene) -> None:
        """Now and then, between two events: look at the hosts as they are."""

    def healed(self, scene: Scene) -> None:
        """All faults are over from now on; liars go on lying."""

    def at_end(self, scene: Scene) -> None:
        """The run is over."""

    def violated(self, text: str) -> None:
        """Report."""
        if len(self.violations) < KEPT:
            self.violations.append(Violation(self.name, text, round(self.scene.now, 6)))

    def up(self, scene: Scene) -> list[Host]:
        """Honest hosts that are up."""
        return [host for host in scene.hosts if host.honest and host.up]


def named(host: Host) -> str:
    """A host in a report."""
    who = f"member {host.seat}" if host.seat != NO_SEAT else f"newcomer {host.address}"
    return who + (f" (life {host.life})" if host.life else "")
