"""Messages: field bounds hold as soon as a record is decoded, and hashes and masks mean what they say."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import messages, wire
from qorum.core.messages import (
    NIL,
    NO_TERM,
    PLACE_BYTES,
    Evict,
    Head,
    Item,
    Join,
    Kind,
    Leave,
    Message,
    Rekey,
    Votes,
    bits,
    place,
    places,
)
from qorum.core.roster import MAX_SEATS
from qorum.errors import ProtocolError

TAGGED = list(Message.__args__)  # type: ignore[attr-defined]


def votes(**fields: Any) -> Votes:
    given = {"step": 1, "round": 1, "term": 0, "value": NIL, "cited": NO_TERM, "voters": b"\1", "signatures": bytes(64)}
    return Votes(**(given | fields))


def test_tags_are_all_different() -> None:
    bodies = [messages.Contribution, messages.Value, messages.Cut]
    for kinds in ([*TAGGED, *bodies], [Join, Leave, Rekey, Evict]):
        tags = [kind.__struct_config__.tag for kind in kinds]
        assert len(set(tags)) == len(tags)


def test_no_signature_serves_two_purposes() -> None:
    assert len({wire.signed_bytes(kind, bytes(32), 0, 1, 2, bytes(32)) for kind in Kind}) == len(Kind)


def test_an_item_is_named_by_its_body_alone() -> None:
    one, other = Item(b"body", bytes(64)), Item(b"body", b"\1" * 64)
    assert one.hash == other.hash == hashlib.sha256(b"body").digest()


@given(st.sets(st.integers(0, 4095)))
def test_a_mask_has_one_bit_a_voter(voters: set[int]) -> None:
    mask = sum(1 << voter for voter in voters)
    assert votes(voters=mask.to_bytes(512, "little")).mask == mask


@given(st.sets(st.integers(0, 4095)))
def test_bits_are_the_members_of_a_mask(members: set[int]) -> None:
    assert bits(sum(1 << member for member in members)) == sorted(members)


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_votes_beyond_what_is_known_keep_their_signatures(voters: set[int], known: set[int]) -> None:
    signatures = {voter: bytes([voter]) * 64 for voter in voters}
    joined = b"".join(signatures[voter] for voter in sorted(voters))
    mask = sum(1 << voter for voter in voters).to_bytes(6, "little")
    given = votes(voters=mask, signatures=joined)
    assert given.by_voter == signatures
    rest = given.beyond(sum(1 << voter for voter in known))
    if voters <= known:
        assert rest is None
    else:
        assert rest is not None
        assert rest.by_voter == {voter: signatures[voter] for voter in voters - known}


def test_a_vote_or_a_proposal_takes_its_signature_in_place() -> None:
    assert votes(signatures=b"").signed(b"\7" * 64) == votes(signatures=b"\7" * 64)
    unsigned = messages.Proposal(1, 0, b"value", b"sketch", None, bytes(64))
    assert unsigned.signed(b"\7" * 64) == messages.Proposal(1, 0, b"value", b"sketch", None, b"\7" * 64)


@given(st.lists(st.tuples(st.integers(0, 2**12 - 1), st.integers(0, 2**31 - 1))), st.binary(max_size=5))
def test_places_come_back_and_a_cut_off_one_is_ignored(where: list[tuple[int, int]], rest: bytes) -> None:
    data = b"".join(place(*at) for at in where)
    assert len(data) == PLACE_BYTES * len(where)
    assert places(data + rest) == [place(*at) for at in where]


@pytest.mark.parametrize(
    "broken",
    [
        votes(step=0), votes(step=3), votes(round=-1), votes(round=1 << 31), votes(term=-1), votes(value=bytes(33)),
        votes(cited=-2), votes(cited=1 << 31), votes(voters=bytes(513)),
        votes(signatures=bytes(2**18 + 1)), Item(b"body", bytes(63)), Item(b"body", bytes(65)),
        messages.Announce(bytes(6 * 4096 + 1)), messages.Pull(b"", (bytes(33),)),
        messages.Pull(b"", (bytes(32),) * 513), messages.ValueBody(bytes(2**19 + 1)), messages.Root(1, 1, bytes(7)),
        messages.Root(1, 1, bytes(9)), messages.Proposal(1, 0, b"", b"", None, b""),
        messages.Proposal(1, 0, b"", bytes(2**14 + 1), None, bytes(64)), messages.CutBody(bytes(2**19 + 1)),
        messages.Digest(1, 0, bytes(2**14 + 1), b"", b"", False, False, NO_TERM),
        messages.Digest(1, 0, b"", bytes(513), b"", False, False, NO_TERM),
        messages.Digest(1, 0, b"", b"", b"", False, False, -2),
        messages.Behind(1, -2), messages.Behind(1, 0, bytes(33)), messages.Behind(-1, 0),
        messages.Fetch(bytes(31), ()), messages.Fetch(bytes(32), (0,) * 65), messages.Fetch(bytes(32), (-1,)),
        messages.Chunk(bytes(32), -1, b""), messages.Petition(Join(bytes(31))), messages.Petition(Leave(2**12, 0)),
        messages.Petition(Leave(0, 0), bytes(65)), messages.Petition(Leave(0, 0), b"", bytes(513)),
        messages.Petition(Rekey(0, -1, bytes(32))), messages.Petition(Evict(0, 2**31)),
        messages.Evidence(0, Kind.PROPOSAL, 0, 1, 0, (bytes(32), bytes(31)), (bytes(64), bytes(64))),
        messages.Evidence(0, Kind.PROPOSAL, 0, 1, 0, (bytes(32), bytes(32)), (bytes(64), bytes(63))),
        messages.Evidence(0, 9, 0, 1, 0, (bytes(32), bytes(32)), (bytes(64), bytes(64))),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_field_out_of_bounds_does_not_decode(broken: Message) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(wire.encode(broken))


@pytest.mark.parametrize(
    "change",
    [{"member": 1 << 12}, {"incarnation": -1}, {"seq": 1 << 31}, {"previous": bytes(33)}, {"base": -1}],
    ids=lambda change: next(iter(change)),
)
def test_a_contribution_out_of_bounds_does_not_decode(change: dict[str, Any]) -> None:
    good = messages.Contribution(0, 0, 1, bytes(32), 0, b"")
    assert wire.decode_body(messages.Contribution, wire.encode(good)) == good
    with pytest.raises(ProtocolError):
        wire.decode_body(messages.Contribution, wire.encode(msgspec.structs.replace(good, **change)))


def test_what_the_largest_federation_says_fits() -> None:
    top = 2**31 - 1
    cut = messages.Cut(tuple(messages.Advance(member, Head(top, top, bytes(32), top)) for member in range(MAX_SEATS)))
    mask, signatures = b"\xff" * (MAX_SEATS // 8), bytes(64 * MAX_SEATS)
    petition = messages.Petition(Rekey(MAX_SEATS - 1, top, bytes(32)), bytes(64), mask, signatures)
    value = wire.encode(messages.Value(top, bytes(32), top, bytes(32), bytes(32), bytes(32)))
    admitting = wire.encode(messages.Value(top, bytes(32), top, bytes(32), bytes(32), bytes(32), petition))
    certificate = votes(round=top, term=top, voters=mask, signatures=signatures)
    sketch = bytes(2**14)
    for message in (
        messages.Proposal(top, top, value, sketch, certificate, bytes(64)),
        messages.Commit(value, certificate, sketch),
        messages.ValueBody(admitting),
        messages.CutBody(wire.encode(cut)),
        messages.Digest(top, top, sketch, mask, mask, True, True, top),
        messages.Announce(place(MAX_SEATS - 1, top) * MAX_SEATS),
        petition,
    ):
        assert wire.decode(wire.encode(message)) == message


def test_records_are_values() -> None:
    head = Head(0, 1, bytes(32))
    assert head == Head(0, 1, bytes(32), 0)
    assert hash(head) == hash(Head(0, 1, bytes(32), 0))
    with pytest.raises(AttributeError):
        head.seq = 2  # type: ignore[misc]
