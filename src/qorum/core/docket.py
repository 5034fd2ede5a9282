"""`Docket`: changes of membership that are due, as one member knows of them: petitions, and evidence against liars."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from qorum.core import membership
from qorum.core.messages import Evidence, Kind, Petition
from qorum.core.roster import Roster
from qorum.core.verify import Verify
from qorum.errors import ProtocolError

T = TypeVar("T")

PETITIONS = 16
"""Petitions kept until a round takes them."""


class Docket:
    """What of the next rounds' changes has been proven. Each `hear` returns whether it was told something new."""

    def __init__(self, roster: Roster, verify: Verify) -> None:
        self._verify = verify
        self._roster = roster
        self.evidence: dict[int, Evidence] = {}
        """Member -> proof that it signed two bodies for one slot, until it loses its seat or its key."""
        self.petitions: list[Petition] = []
        """Changes of membership that are entitled to happen."""

    def meet(self, roster: Roster) -> None:
        """The membership has changed: what is done, or is not entitled to happen any more, is struck off."""
        self._roster = roster
        entitled = filter(self._entitled, self.petitions)
        self.petitions = [msgspec.structs.replace(petition, epoch=roster.epoch) for petition in entitled]
        evictions = {member: membership.eviction(e, roster) for member, e in self.evidence.items()}
        self.evidence = {member: e for member, e in self.evidence.items() if self._entitled(evictions[member])}

    def hear_evidence(self, evidence: Evidence) -> bool:
        """From a peer. Raises `ProtocolError` if it proves nothing, and could not in another epoch either."""
        seats = self._roster.seats
        gone = evidence.member < len(seats) and not seats[evidence.member].active
        if gone or evidence.member in self.evidence:
            return False
        membership.check_form(evidence)
        if not self._is_of_now(evidence):
            return self._holds(membership.check_evidence, evidence) and self.note(evidence)
        membership.check_evidence(evidence, self._roster, self._verify)
        return self.note(evidence)

    def _is_of_now(self, evidence: Evidence) -> bool:
        """Whether the key it was signed with is the one in force here, if it was signed at all."""
        seats = self._roster.seats
        if evidence.kind is not Kind.CONTRIBUTION:
            return evidence.epoch == self._roster.epoch
        return evidence.member < len(seats) and evidence.epoch == seats[evidence.member].incarnation

    def note(self, evidence: Evidence) -> bool:
        """Take down evidence that is known to hold; of a member the first is enough."""
        return self.evidence.setdefault(evidence.member, evidence) is evidence

    def hear_petition(self, petition: Petition) -> bool:
        """From a peer. Raises `ProtocolError` if it is not entitled to happen, and its sender is in this epoch too."""
        known = any(petition.change == held.change for held in self.petitions)
        if known or len(self.petitions) == PETITIONS:
            return False
        if petition.epoch == self._roster.epoch:
            membership.check(petition, self._roster, self._verify)
        elif not self._entitled(petition):
            return False
        self.petitions.append(msgspec.structs.replace(petition, epoch=self._roster.epoch))
        return True

    def due(self, round: int) -> Petition | None:
        """The change that a fresh value of `round` should make: petitions first, then liars that were caught."""
        if not self._roster.has_room(round):
            return None
        evictions = (membership.eviction(evidence, self._roster) for evidence in self.evidence.values())
        return next((petition for petition in (*self.petitions, *evictions) if self._entitled(petition)), None)

    def _entitled(self, petition: Petition) -> bool:
        return self._holds(membership.check, petition)

    def _holds(self, check: Callable[[T, Roster, Verify], None], claim: T) -> bool:
        try:
            check(claim, self._roster, self._verify)
        except ProtocolError:
            return False
        return True
