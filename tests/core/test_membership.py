"""Membership: who may change it, by what, and what proves that a member signed two bodies for one slot."""

from __future__ import annotations

import msgspec
import pytest

from qorum.core import membership, wire
from qorum.core.membership import check, check_evidence, eviction, evidence_of
from qorum.core.messages import Change, Evict, Evidence, Join, Kind, Leave, Petition, Rekey
from qorum.core.roster import MAX_SEATS, Roster
from qorum.errors import ProtocolError
from tests.core.builders import genesis_of
from tests.core.harness import fake_verify, key, petition_of, seal

GENESIS = genesis_of(7)  # 2 liars tolerated, 5 decide
ROSTER = GENESIS.roster
FEDERATION = GENESIS.federation
NEW = key(100)
replace = msgspec.structs.replace

CHANGES: list[Change] = [Join(NEW), Rekey(3, 1, NEW), Leave(3, 0), Evict(3, 0)]


def proof(member: int = 3, kind: Kind = Kind.FIRST_VOTE, by: bytes | None = None) -> Evidence:
    """Of two bodies that the member signed for one slot."""
    data = tuple(wire.signed_bytes(kind, FEDERATION, 0, 4, 2, body) for body in (b"b" * 32, b"a" * 32))
    signer = by or key(member)
    return evidence_of(member, (data[0], data[1]), (seal(signer, data[0]), seal(signer, data[1])))


def refused(petition: Petition, roster: Roster = ROSTER, match: str | None = None) -> None:
    with pytest.raises(ProtocolError, match=match):
        check(petition, roster, fake_verify)


# --- what entitles ---


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_with_all_it_needs_may_happen(change: Change) -> None:
    check(petition_of(ROSTER, change), ROSTER, fake_verify)


@pytest.mark.parametrize("change", [Join(NEW), Rekey(3, 1, NEW), Evict(3, 0)])
def test_a_quorum_of_operators_must_want_it(change: Change) -> None:
    check(petition_of(ROSTER, change, endorsers=[0, 2, 4, 5, 6]), ROSTER, fake_verify)
    refused(petition_of(ROSTER, change, endorsers=[0, 2, 4, 6]), match="endorsed by 4 members; 5 must")
    refused(petition_of(ROSTER, change, endorsers=[]), match="endorsed by 0")


@pytest.mark.parametrize("change", [Join(NEW), Rekey(3, 1, NEW), Leave(3, 0)])
def test_the_key_it_concerns_must_consent(change: Change) -> None:
    good = petition_of(ROSTER, change)
    refused(petition_of(ROSTER, change, consent=key(101)), match="without the consent")
    for consent in (b"", bytes(63), bytes(64)):
        refused(replace(good, consent=consent), match="without the consent")


def test_who_leaves_needs_nobodys_leave() -> None:
    check(petition_of(ROSTER, Leave(3, 0), endorsers=[]), ROSTER, fake_verify)


def test_a_member_gets_a_new_key_without_the_old_one() -> None:
    """It was lost: the new key consents, and the operators vouch for it."""
    refused(petition_of(ROSTER, Rekey(3, 1, NEW), consent=key(3)), match="without the consent")


def test_consent_and_endorsement_serve_one_change_of_one_federation() -> None:
    both = (membership.consent_bytes, membership.endorsement_bytes)
    changes = [*CHANGES, Leave(3, 1), Leave(4, 0), Evict(4, 0), Join(key(101)), Rekey(3, 2, NEW)]
    signed = {data(federation, change) for data in both for federation in (FEDERATION, bytes(32)) for change in changes}
    assert len(signed) == 4 * len(changes)
    for change, other in ((Join(NEW), Join(key(101))), (Evict(3, 0), Evict(4, 0)), (Evict(3, 0), Rekey(3, 1, NEW))):
        refused(replace(petition_of(ROSTER, change), change=other))


ENDORSED = petition_of(ROSTER, Evict(3, 0), endorsers=[0, 1, 2, 4, 5])


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (replace(ENDORSED, signatures=ENDORSED.signatures[:-64]), "not with a signature each"),
        (replace(ENDORSED, signatures=ENDORSED.signatures + bytes(64)), "not with a signature each"),
        (replace(ENDORSED, endorsers=b"\xb7"), "others than members"),
        (replace(ENDORSED, endorsers=b"\x37\x01"), "others than members"),
        (replace(ENDORSED, endorsers=b"\x77"), "not with a signature each"),
        (replace(ENDORSED, signatures=bytes(64) + ENDORSED.signatures[64:]), "endorsement of member 0"),
        (replace(ENDORSED, endorsers=b"\x57"), "endorsement of member 6"),
    ],
)
def test_endorsements_that_are_none_do_not_count(wrong: Petition, match: str) -> None:
    check(ENDORSED, ROSTER, fake_verify)
    refused(wrong, match=match)


def test_who_is_gone_endorses_nothing() -> None:
    roster = ROSTER.after(Leave(0, 0), 1)  # six members: five decide
    refused(ENDORSED, roster, match="others than members")
    check(petition_of(roster, Evict(3, 0), endorsers=[1, 2, 4, 5, 6]), roster, fake_verify)


# --- what makes sense ---


@pytest.mark.parametrize("change", [Leave(7, 0), Evict(7, 0), Rekey(7, 1, NEW), Evict(4095, 0)])
def test_there_is_no_such_seat(change: Change) -> None:
    refused(Petition(change), match="has no seat")


@pytest.mark.parametrize("change", [Leave(2, 0), Evict(2, 0), Rekey(2, 1, NEW)])
def test_who_is_gone_is_gone_for_good(change: Change) -> None:
    roster = ROSTER.after(Evict(2, 0), 1)
    refused(petition_of(roster, change), roster, match="has no seat")


@pytest.mark.parametrize("change", [Leave(2, 1), Evict(2, 1), Rekey(2, 0, NEW), Rekey(2, 2, NEW)])
def test_a_change_names_the_incarnation_it_is_for(change: Change) -> None:
    refused(petition_of(ROSTER, change), match="it has to be")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_cannot_be_made_twice(change: Change) -> None:
    """What was signed for it once is worth nothing ever after."""
    petition, roster = petition_of(ROSTER, change), ROSTER.after(change, 1)
    refused(petition, roster)
    refused(petition, roster.after(Rekey(0, 1, key(101)), 2))


@pytest.mark.parametrize("change", [Leave(3, 0), Evict(3, 0)])
def test_what_was_signed_against_an_old_key_is_nothing_against_the_new(change: Change) -> None:
    refused(petition_of(ROSTER, change), ROSTER.after(Rekey(3, 1, NEW), 1), match="it has to be 1")


@pytest.mark.parametrize("used", [key(0), key(3), key(5), key(50)])
def test_no_key_is_used_twice(used: bytes) -> None:
    roster = ROSTER.after(Rekey(5, 1, key(50)), 1)
    for change in (Join(used), Rekey(3, 1, used)):
        refused(petition_of(roster, change), roster, match="was a member's already")


def test_so_many_are_needed_for_rounds() -> None:
    roster = genesis_of(4, min_peers_for_consensus=4).roster
    for change in (Leave(0, 0), Evict(0, 0)):
        refused(petition_of(roster, change), roster, match="nobody can be spared")
    check(petition_of(roster, Rekey(0, 1, NEW)), roster, fake_verify)
    larger = roster.after(Join(NEW), 1)
    for change in (Leave(0, 0), Evict(0, 0)):
        check(petition_of(larger, change), larger, fake_verify)


def test_seats_are_limited() -> None:
    seats = ROSTER.seats[:3] + ROSTER.seats[:1] * (MAX_SEATS - 3)
    full = Roster(FEDERATION, GENESIS.config, seats)
    refused(petition_of(ROSTER, Join(NEW)), full, match="4096 seats are taken")


# --- evidence ---


@pytest.mark.parametrize("kind", membership.PER_SLOT)
def test_two_bodies_for_one_slot_evict(kind: Kind) -> None:
    evidence = proof(kind=kind)
    check_evidence(evidence, ROSTER, fake_verify)
    petition = eviction(evidence, ROSTER)
    assert petition == Petition(Evict(3, 0), evidence=evidence)
    check(petition, ROSTER, fake_verify)


def test_evidence_is_the_same_whichever_body_was_seen_first() -> None:
    one, other = (wire.signed_bytes(Kind.PROPOSAL, FEDERATION, 5, 4, 2, body) for body in (b"a" * 32, b"b" * 32))
    evidence = evidence_of(3, (one, other), (b"1" * 64, b"2" * 64))
    assert evidence == evidence_of(3, (other, one), (b"2" * 64, b"1" * 64))
    assert evidence == Evidence(3, Kind.PROPOSAL, 5, 4, 2, (b"a" * 32, b"b" * 32), (b"1" * 64, b"2" * 64))


GOOD = proof()
BAD: dict[str, tuple[Evidence, str]] = {
    "the same body twice": (replace(GOOD, bodies=GOOD.bodies[:1] * 2, signatures=GOOD.signatures[:1] * 2), "are one"),
    "out of order": (replace(GOOD, bodies=GOOD.bodies[::-1], signatures=GOOD.signatures[::-1]), "out of order"),
    "signatures swapped": (replace(GOOD, signatures=GOOD.signatures[::-1]), "did not sign"),
    "another member's": (replace(GOOD, member=2), "did not sign"),
    "no member's": (replace(GOOD, member=7), "no seat"),
    "another round": (replace(GOOD, round=5), "did not sign"),
    "another term": (replace(GOOD, term=0), "did not sign"),
    "another epoch": (replace(GOOD, epoch=1), "did not sign"),
    "another kind": (replace(GOOD, kind=Kind.SECOND_VOTE), "did not sign"),
    "endorsements": (proof(kind=Kind.ENDORSEMENT), "of no slot"),
    "consents": (proof(kind=Kind.CONSENT), "of no slot"),
    "signed once": (replace(GOOD, signatures=(GOOD.signatures[0], bytes(64))), "did not sign"),
}


@pytest.mark.parametrize("name", BAD)
def test_evidence_that_is_none_convicts_nobody(name: str) -> None:
    evidence, match = BAD[name]
    with pytest.raises(ProtocolError, match=match):
        check_evidence(evidence, ROSTER, fake_verify)
    refused(Petition(Evict(3, 0), evidence=evidence))


def test_evidence_is_against_one_member() -> None:
    refused(Petition(Evict(2, 0), evidence=proof(3)), match="against member 3 to evict 2")


def test_evidence_counts_under_the_key_in_force_only() -> None:
    """Who lost its key answers for nothing that is signed with it since."""
    roster = ROSTER.after(Rekey(3, 1, NEW), 1)
    with pytest.raises(ProtocolError, match="did not sign"):
        check_evidence(proof(3), roster, fake_verify)
    petition = eviction(proof(3, by=NEW), roster)
    assert petition.change == Evict(3, 1)
    check(petition, roster, fake_verify)


@pytest.mark.parametrize("gone", [Leave(3, 0), Evict(3, 0)])
def test_who_is_gone_is_evicted_no_more(gone: Change) -> None:
    with pytest.raises(ProtocolError, match="no seat"):
        check_evidence(proof(3), ROSTER.after(gone, 1), fake_verify)
