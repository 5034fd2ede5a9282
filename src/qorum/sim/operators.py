"""`Operators`: the people behind the members. They ask for changes of membership until a round makes them.

An operator holds its member's key, and signs for whatever another one asks for; those of liars do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from qorum.core.effects import Effect
from qorum.core.member import Member
from qorum.core.membership import consent_bytes, endorsement_bytes
from qorum.core.messages import Change, Join, Leave, Petition, Rekey
from qorum.core.roster import Roster
from qorum.errors import ProtocolError
from qorum.sim.host import Host

if TYPE_CHECKING:
    from qorum.sim.cluster import Cluster

PERIOD = 0.5
"""Seconds after which a change is asked for again: signatures of an old membership count for nothing."""


@dataclass(frozen=True)
class Wish:
    """What an operator wants."""

    due: Callable[[Roster], Change | None]
    """The change that would bring it about; None once nothing is left to change."""
    consent: Callable[[bytes], bytes]
    """Signs with the key that the change concerns."""


class Operators:
    """All operators of a cluster."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self.wishes: list[Wish] = []
        """Not yet fulfilled."""

    def admit(self, number: int) -> None:
        """Let the key of this number join."""
        key = self._cluster.keys.key(number)
        self._wish(number, lambda roster: None if key in roster.known_keys else Join(key))

    def rekey(self, host: Host, number: int) -> None:
        """Let the member that a host runs, or ran, go on under the key of this number."""
        old, key = host.key, self._cluster.keys.key(number)

        def due(roster: Roster) -> Change | None:
            if key in roster.known_keys or self._cluster.wanted[host.address] != number:
                return None
            seats = (seat for seat in roster.active if old in roster.seats[seat].keys)
            return next((Rekey(seat, roster.seats[seat].incarnation + 1, key) for seat in seats), None)

        self._wish(number, due)

    def leave(self, number: int) -> None:
        """Let the member under the key of this number give up its seat."""
        key = self._cluster.keys.key(number)

        def due(roster: Roster) -> Change | None:
            seat = roster.seat_of(key)
            return None if seat is None else Leave(seat, roster.seats[seat].incarnation)

        self._wish(number, due)

    def _wish(self, number: int, due: Callable[[Roster], Change | None]) -> None:
        self.wishes.append(Wish(due, partial(self._cluster.keys.sign, number)))
        if len(self.wishes) == 1:
            self._ask()

    def _ask(self) -> None:
        """File what is due with some honest member, and see to it again later."""
        roster = self._cluster.roster
        self.wishes = [wish for wish in self.wishes if wish.due(roster) is not None]
        up = [host for host in self._cluster.honest if host.up and not host.paused]
        for wish in self.wishes:
            petition = self.petition(wish, roster)
            if petition is not None and up:
                self._random.choice(up).meet(partial(_file, petition))
        if self.wishes:
            self._cluster.timeline.after(PERIOD, self._ask)

    def petition(self, wish: Wish, roster: Roster) -> Petition | None:
        """A wish with the signatures of a quorum; None if no quorum's operators are honest and have their keys."""
        change = wish.due(roster)
        assert change is not None
        consent = wish.consent(consent_bytes(roster.federation, change))
        if isinstance(change, Leave):
            return Petition(change, consent)
        owners = {roster.seat_of(host.key): host for host in self._cluster.honest if not host.lost}
        willing = sorted(seat for seat in owners if seat is not None)
        if len(willing) < roster.quorum.size:
            return None
        chosen = sorted(self._random.sample(willing, roster.quorum.size))
        data = endorsement_bytes(roster.federation, change)
        mask = sum(1 << seat for seat in chosen).to_bytes(-(-roster.members // 8), "little")
        return Petition(change, consent, mask, b"".join(owners[seat].sign(data) for seat in chosen))


def _file(petition: Petition, member: Member) -> Sequence[Effect]:
    try:
        return member.petition(petition)
    except ProtocolError:  # it is of another membership: behind, or ahead
        return ()
