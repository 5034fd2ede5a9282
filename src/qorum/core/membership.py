"""Changes of membership: what entitles to one, and proof that a member signed two bodies for one slot."""

from __future__ import annotations

import hashlib

from qorum.core import wire
from qorum.core.messages import Change, Evict, Evidence, Join, Kind, Leave, Petition, Rekey, bits
from qorum.core.roster import MAX_SEATS, Roster
from qorum.core.verify import Verify
from qorum.errors import ProtocolError

PER_SLOT = (Kind.CONTRIBUTION, Kind.PROPOSAL, Kind.FIRST_VOTE, Kind.SECOND_VOTE)
"""Kinds of which an honest member signs one body a slot."""


def consent_bytes(federation: bytes, change: Change) -> bytes:
    """What the key that a change concerns signs."""
    return wire.signed_bytes(Kind.CONSENT, federation, 0, 0, 0, _hash(change))


def endorsement_bytes(federation: bytes, change: Change) -> bytes:
    """What each operator signs who wants a change. A change is unique over all epochs, so it can't be replayed."""
    return wire.signed_bytes(Kind.ENDORSEMENT, federation, 0, 0, 0, _hash(change))


def check(petition: Petition, roster: Roster, verify: Verify) -> None:
    """Raise `ProtocolError` unless a petition may change `roster`: its change makes sense and it is entitled to it.

    Joining and re-keying need the consent of the new key and the endorsement of a quorum, leaving the member's own
    consent, evicting the endorsement of a quorum or evidence of equivocation under the key in force.
    """
    change = petition.change
    _check_sense(change, roster)
    match change:
        case Join(key) | Rekey(_, _, key):
            _check_consent(petition, key, roster, verify)
            _check_endorsed(petition, roster, verify)
        case Leave(member):
            _check_consent(petition, roster.key(member), roster, verify)
        case Evict(member):
            if petition.evidence is None:
                _check_endorsed(petition, roster, verify)
            elif petition.evidence.member != member:
                raise ProtocolError(f"evidence against member {petition.evidence.member} to evict {member}")
            else:
                check_evidence(petition.evidence, roster, verify)


def _check_sense(change: Change, roster: Roster) -> None:
    if isinstance(change, Join | Rekey) and change.key in roster.known_keys:
        raise ProtocolError("a key that is or was a member's already")
    if isinstance(change, Join):
        if roster.members >= MAX_SEATS:
            raise ProtocolError(f"all {MAX_SEATS} seats are taken")
        return
    if change.member >= roster.members or not roster.seats[change.member].active:
        raise ProtocolError(f"member {change.member} has no seat")
    due = roster.seats[change.member].incarnation + isinstance(change, Rekey)
    if change.incarnation != due:
        raise ProtocolError(f"names incarnation {change.incarnation} of member {change.member}; it has to be {due}")
    least = roster.config.min_peers_for_consensus
    if not isinstance(change, Rekey) and len(roster.active) <= least:
        raise ProtocolError(f"{len(roster.active)} members, and rounds need {least}: nobody can be spared")


def _check_consent(petition: Petition, key: bytes, roster: Roster, verify: Verify) -> None:
    data = consent_bytes(roster.federation, petition.change)
    if len(petition.consent) != 64 or not verify(key, data, petition.consent):
        raise ProtocolError("change of membership without the consent of the key it concerns")


def _check_endorsed(petition: Petition, roster: Roster, verify: Verify) -> None:
    mask, signatures = int.from_bytes(petition.endorsers, "little"), petition.signatures
    endorsers = bits(mask & roster.active_mask)
    if mask & ~roster.active_mask or len(signatures) != 64 * len(endorsers):
        raise ProtocolError("endorsed by others than members, or not with a signature each")
    if len(endorsers) < roster.quorum.size:
        raise ProtocolError(f"endorsed by {len(endorsers)} members; {roster.quorum.size} must")
    data = endorsement_bytes(roster.federation, petition.change)
    for at, member in enumerate(endorsers):
        if not verify(roster.key(member), data, signatures[64 * at : 64 * at + 64]):
            raise ProtocolError(f"endorsement of member {member} is not signed by it")


def check_evidence(evidence: Evidence, roster: Roster, verify: Verify) -> None:
    """Raise `ProtocolError` unless the member signed both bodies with its key in force."""
    check_form(evidence)
    if evidence.member >= roster.members or not roster.seats[evidence.member].active:
        raise ProtocolError(f"evidence against member {evidence.member}, who has no seat")
    for body, signature in zip(evidence.bodies, evidence.signatures, strict=True):
        data = wire.signed_bytes(
            evidence.kind, roster.federation, evidence.epoch, evidence.round, evidence.term, body
        )
        if not verify(roster.key(evidence.member), data, signature):
            raise ProtocolError(f"evidence that member {evidence.member} did not sign")


def check_form(evidence: Evidence) -> None:
    """Raise `ProtocolError` unless it is about two bodies for one slot."""
    first, second = evidence.bodies
    if evidence.kind not in PER_SLOT or first >= second:
        raise ProtocolError("evidence of two bodies that are one, out of order, or of no slot")


def evidence_of(member: int, data: tuple[bytes, bytes], signatures: tuple[bytes, bytes]) -> Evidence:
    """Evidence from two signed strings of one slot."""
    kind, epoch, round, term, _ = wire.signed_parts(data[0])
    (first, one), (second, other) = sorted(zip((wire.signed_parts(d)[-1] for d in data), signatures, strict=True))
    return Evidence(member, kind, epoch, round, term, (first, second), (one, other))


def eviction(evidence: Evidence, roster: Roster) -> Petition:
    """The petition that evidence alone entitles to."""
    return Petition(Evict(evidence.member, roster.seats[evidence.member].incarnation), evidence=evidence)


def _hash(change: Change) -> bytes:
    return hashlib.sha256(wire.encode(change)).digest()
