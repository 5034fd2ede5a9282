"""Wire: what is encoded comes back, one meaning has one form, and no bytes from a peer do harm."""

import contextlib
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import wire
from qorum.core.messages import (
    NIL,
    NO_TERM,
    Advance,
    Announce,
    Behind,
    Bundle,
    Change,
    Chunk,
    Commit,
    Contribution,
    Cut,
    CutBody,
    Digest,
    Epochs,
    Evict,
    Evidence,
    Fetch,
    Head,
    Item,
    Items,
    Join,
    Kind,
    Leave,
    Manifest,
    Message,
    Origin,
    Petition,
    Proposal,
    Pull,
    Rekey,
    Root,
    Value,
    ValueBody,
    Votes,
)
from qorum.errors import ProtocolError

COUNTS = st.integers(0, 2**31 - 1)
HASHES = st.binary(min_size=32, max_size=32)
SIGNATURES = st.binary(min_size=64, max_size=64)
BYTES = st.binary(max_size=40)
MASKS = st.binary(max_size=512)

MEMBERS = st.integers(0, 2**12 - 1)
TERMS = st.integers(-1, 2**31 - 1)

HEADS = st.builds(Head, COUNTS, COUNTS, HASHES, COUNTS)
CUTS = st.builds(Cut, st.lists(st.builds(Advance, MEMBERS, HEADS), max_size=4).map(tuple))
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(Join, HASHES),
    st.builds(Leave, MEMBERS, COUNTS),
    st.builds(Rekey, MEMBERS, COUNTS, HASHES),
    st.builds(Evict, MEMBERS, COUNTS),
)
EVIDENCE = st.builds(
    Evidence, MEMBERS, st.sampled_from(Kind), COUNTS, COUNTS, COUNTS,
    st.tuples(HASHES, HASHES), st.tuples(SIGNATURES, SIGNATURES),
)  # fmt: skip
PETITIONS = st.builds(Petition, CHANGES, st.just(b"") | SIGNATURES, MASKS, BYTES, st.none() | EVIDENCE)
VALUES = st.builds(Value, COUNTS, HASHES, COUNTS, HASHES, HASHES, HASHES, st.none() | PETITIONS)
CONTRIBUTIONS = st.builds(Contribution, MEMBERS, COUNTS, COUNTS, HASHES, COUNTS, BYTES)
ITEMS = st.builds(Item, BYTES, SIGNATURES)
VOTES = st.builds(Votes, st.integers(1, 2), COUNTS, COUNTS, BYTES.map(lambda b: b[:32]), TERMS, MASKS, BYTES)
COMMITS = st.builds(Commit, BYTES, VOTES, BYTES)
HASH_TUPLES = st.lists(HASHES, max_size=4).map(tuple)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    ITEMS,
    VOTES,
    st.builds(Proposal, COUNTS, COUNTS, BYTES, BYTES, st.none() | VOTES, SIGNATURES),
    COMMITS,
    st.builds(Announce, BYTES),
    st.builds(Pull, BYTES, HASH_TUPLES),
    st.builds(Items, st.lists(ITEMS, max_size=3).map(tuple)),
    st.builds(ValueBody, BYTES),
    st.builds(CutBody, BYTES),
    st.builds(Root, COUNTS, COUNTS, st.binary(min_size=8, max_size=8)),
    st.builds(Digest, COUNTS, COUNTS, BYTES, MASKS, MASKS, st.booleans(), st.booleans(), TERMS),
    st.builds(Bundle, st.lists(BYTES, max_size=3).map(tuple)),
    EVIDENCE,
    PETITIONS,
    st.builds(Behind, COUNTS, TERMS, st.just(b"") | HASHES),
    st.builds(Origin, BYTES, BYTES),
    st.builds(Epochs, st.lists(COMMITS, max_size=3).map(tuple)),
    st.builds(Manifest, COMMITS, BYTES),
    st.builds(Fetch, HASHES, st.lists(COUNTS, max_size=4).map(tuple)),
    st.builds(Chunk, HASHES, COUNTS, BYTES),
)
CONTRIBUTION = Contribution(3, 0, 1, bytes(32), 0, b"payload")
VALUE = Value(1, bytes(32), 0, bytes(32), bytes(32), bytes(32))
BODIES = (Contribution, Value, Cut)
CUT = Cut((Advance(0, Head(0, 1, bytes(32), 0)),))


# --- messages -----------------------------------------------------------------------------------------


@given(MESSAGES)
def test_messages_come_back_equal(message: Message) -> None:
    again = wire.decode(wire.encode(message))
    assert again == message
    assert type(again) is type(message)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_cleanly(frame: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        wire.decode(frame)
    for kind in BODIES:
        with contextlib.suppress(ProtocolError):
            wire.decode_body(kind, frame)


@st.composite
def damaged(draw: st.DrawFn, frames: st.SearchStrategy[bytes]) -> bytes:
    """A good frame with a few bytes changed, cut out, put in or repeated."""
    frame = bytearray(draw(frames))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(frame)))
        stop = draw(st.integers(start, min(len(frame), start + 8)))
        frame[start:stop] = draw(st.binary(max_size=8)) if draw(st.booleans()) else frame[start:stop] * 2
    return bytes(frame)


@given(damaged(MESSAGES.map(wire.encode)))
def test_damaged_messages_are_refused_cleanly_or_mean_something(frame: bytes) -> None:
    try:
        message = wire.decode(frame)
    except ProtocolError:
        return
    assert wire.decode(wire.encode(message)) == message


@given(damaged(st.one_of(VALUES, CONTRIBUTIONS, CUTS).map(wire.encode)))
def test_damaged_bodies_are_refused_or_are_the_only_form_of_their_meaning(body: bytes) -> None:
    for kind in BODIES:
        try:
            record: msgspec.Struct = wire.decode_body(kind, body)
        except ProtocolError:
            continue
        assert wire.encode(record) == body


def test_a_frame_beyond_the_limit_is_refused_unread() -> None:
    frame = wire.encode(Bundle((bytes(wire.MAX_FRAME - 8),)))
    assert len(frame) == wire.MAX_FRAME
    assert wire.decode(frame) == Bundle((bytes(wire.MAX_FRAME - 8),))
    with pytest.raises(ProtocolError, match="limit"):
        wire.decode(frame + b"\0")


@pytest.mark.parametrize("members", [1, 16, 593, 735, 736, 781, 4096])
def test_the_largest_frame_has_room_for_the_largest_message(members: int) -> None:
    limit, top = wire.frame_limit(members), 2**31 - 1
    mask, signatures = b"\xff" * -(-members // 8), bytes(64 * members)
    certificate, sketch = Votes(2, top, top, bytes(32), NO_TERM, mask, signatures), bytes(4 * members)
    petition = Petition(Rekey(min(members, 4095), top, bytes(32)), bytes(64), mask, signatures)
    value = wire.encode(Value(top, bytes(32), top, bytes(32), bytes(32), bytes(32), petition))
    cut = Cut(tuple(Advance(m, Head(top, top, bytes(32), top)) for m in range(members)))
    for message in (
        Commit(value, certificate, sketch),
        Proposal(top, top, value, sketch, certificate, bytes(64)),
        CutBody(wire.encode(cut)),
        Chunk(bytes(32), top, wire.pack(np.random.default_rng(1).bytes(wire.CHUNK))),
    ):
        frame = wire.encode(message)
        assert len(frame) <= limit
        assert wire.decode(frame) == message


def test_a_sync_of_the_founding_federation_takes_less_than_100_kb_a_frame() -> None:
    assert wire.frame_limit(593) == 100_000
    assert wire.frame_limit(4096) == wire.MAX_FRAME


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\x92\x0e\x91", b"\x92\x07\x91", b"\xdc\x00\x01"])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(opening * 200_000)


@pytest.mark.parametrize("claimed", [2**16, 2**27, 2**32 - 1])
def test_a_claimed_length_reserves_no_memory(claimed: int) -> None:
    tracemalloc.start()
    try:
        for tag in (9, 14, 20, 22):
            with pytest.raises(ProtocolError):
                wire.decode(bytes([0x92, tag, 0xDD]) + claimed.to_bytes(4, "big") + b"\xc4\x20" + bytes(32))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("frame", [b"", b"\xc0", b"\x90", b"\x91\x63", *map(wire.encode, (VALUE, CONTRIBUTION, CUT))])
def test_what_is_not_a_message_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a message"):
        wire.decode(frame)


def test_nothing_may_follow_a_message() -> None:
    frame = wire.encode(ValueBody(b"value"))
    with pytest.raises(ProtocolError):
        wire.decode(frame + b"\0")


# --- bodies ------------------------------------------------------------------------------------------


@given(VALUES)
def test_values_come_back_equal(value: Value) -> None:
    assert wire.decode_body(Value, wire.encode(value)) == value


@given(CUTS)
def test_cuts_come_back_equal(cut: Cut) -> None:
    assert wire.decode_body(Cut, wire.encode(cut)) == cut


@given(CONTRIBUTIONS)
def test_contributions_come_back_equal(contribution: Contribution) -> None:
    assert wire.decode_body(Contribution, wire.encode(contribution)) == contribution


def test_the_body_of_an_item_is_decoded_once() -> None:
    item = Item(wire.encode(CONTRIBUTION), bytes(64))
    assert wire.contribution(item) == CONTRIBUTION
    assert wire.contribution(item) is wire.contribution(item)
    assert item == Item(wire.encode(CONTRIBUTION), bytes(64))
    broken = Item(wire.encode(CONTRIBUTION) + b"\0", bytes(64))
    for _ in range(2):
        with pytest.raises(ProtocolError, match="not a Contribution"):
            wire.contribution(broken)


def test_a_body_of_another_kind_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not a Value"):
        wire.decode_body(Value, wire.encode(CONTRIBUTION))
    with pytest.raises(ProtocolError, match="not a Cut"):
        wire.decode_body(Cut, wire.encode(VALUE))


def longer_array(body: bytes) -> bytes:
    return b"\xdc\x00" + bytes([body[0] & 15]) + body[1:]


def longer_int(body: bytes) -> bytes:
    return body[:2] + b"\xcd\x00" + body[2:3] + body[3:]  # the field after the tag, as uint16


def longer_payload(body: bytes) -> bytes:
    return body.replace(b"\xc4\x07payload", b"\xc5\x00\x07payload")


def signed_int(body: bytes) -> bytes:
    return body[:2] + b"\xd0" + body[2:]


def as_float(body: bytes) -> bytes:
    return body[:2] + b"\xcb" + np.array(float(body[2]), ">f8").tobytes() + body[3:]


@pytest.mark.parametrize("spell", [longer_array, longer_int, longer_payload, signed_int, as_float])
def test_another_spelling_of_the_same_contribution_is_refused(spell: Any) -> None:
    body = wire.encode(CONTRIBUTION)
    other = spell(body)
    assert other != body
    if spell is not as_float:
        assert msgspec.msgpack.decode(other, type=Contribution) == CONTRIBUTION, "the same meaning"
    with pytest.raises(ProtocolError):
        wire.decode_body(Contribution, other)


def test_leaving_a_default_out_is_another_spelling() -> None:
    body = wire.encode(VALUE)
    short = bytes([body[0] - 1]) + body[1:-1]
    assert body[-1:] == b"\xc0", "no change of membership"
    assert msgspec.msgpack.decode(short, type=Value) == VALUE
    with pytest.raises(ProtocolError, match="canonical"):
        wire.decode_body(Value, short)
    body = wire.encode(CUT)
    short = body.replace(b"\x94\x00\x01\xc4\x20" + bytes(32) + b"\x00", b"\x93\x00\x01\xc4\x20" + bytes(32))
    assert msgspec.msgpack.decode(short, type=Cut) == CUT
    with pytest.raises(ProtocolError, match="canonical"):
        wire.decode_body(Cut, short)


# --- what is signed ----------------------------------------------------------------------------------


def test_signed_bytes_tell_every_field_apart() -> None:
    base = (Kind.FIRST_VOTE, bytes(32), 0, 1, 2, bytes(32))
    others = [
        (Kind.SECOND_VOTE, *base[1:]),
        (base[0], b"\1" * 32, *base[2:]),
        (*base[:2], 1, *base[3:]),
        (*base[:3], 2, *base[4:]),
        (*base[:4], 1, base[5]),
        (*base[:5], b"\1" * 32),
    ]
    signed = [wire.signed_bytes(*fields) for fields in [base, *others]]
    assert len(set(signed)) == 7
    assert {len(data) for data in signed} == {85}


@given(st.sampled_from(Kind), HASHES, COUNTS, COUNTS, COUNTS, HASHES)
def test_signed_bytes_come_apart_again(
    kind: Kind, federation: bytes, epoch: int, round: int, term: int, body: bytes
) -> None:
    data = wire.signed_bytes(kind, federation, epoch, round, term, body)
    assert wire.signed_parts(data) == (kind, epoch, round, term, body)


def test_a_vote_is_told_apart_by_value_and_citation() -> None:
    def body(value: bytes, cited: int) -> tuple[bytes, int]:
        return wire.vote_body(Votes(2, 1, 1, value, cited, b"\1", bytes(64)))

    assert len({body(NIL, NO_TERM), body(NIL, 0), body(bytes(32), NO_TERM)}) == 3


# --- payloads ----------------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_packed_bytes_come_back(data: bytes) -> None:
    assert wire.unpack(wire.pack(data), len(data)) == data


@given(st.binary(max_size=200), st.integers(1, 200))
def test_more_than_the_limit_is_refused(data: bytes, excess: int) -> None:
    with pytest.raises(ProtocolError, match="limit"):
        wire.unpack(wire.pack(data + bytes(excess)), len(data) + excess - 1)


def test_no_limit_goes_beyond_that_of_all_payloads() -> None:
    with pytest.raises(ProtocolError, match="limit"):
        wire.unpack(wire.pack(bytes(wire.MAX_UNPACKED + 1)), 1 << 40)


@pytest.mark.parametrize("size", [wire.MAX_UNPACKED, wire.CHUNK])
def test_the_largest_payload_unpacks(size: int) -> None:
    assert wire.unpack(wire.pack(bytes(size)), size) == bytes(size)


def traced_peak(data: bytes) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            wire.unpack(data, 1000)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMB = wire.pack(bytes(32 << 20))


@pytest.mark.parametrize(
    "data",
    [BOMB, wire.pack(b"harmless") + BOMB, wire.pack(b"") + BOMB, wire.pack(bytes(1000)) + BOMB],
    ids=["alone", "behind a small frame", "behind an empty frame", "behind a full frame"],
)
def test_a_bomb_does_not_go_off(data: bytes) -> None:
    assert traced_peak(data) < 1 << 20


def unsized(data: bytes) -> bytes:
    packer = wire.zstd.ZstdCompressor()
    return packer.compress(data[:1], packer.FLUSH_BLOCK) + packer.compress(data[1:], packer.FLUSH_FRAME)


def resized(data: bytes, size: int) -> bytes:
    """A frame of some length whose header states another one; both below 256."""
    frame = bytearray(wire.pack(data))
    assert frame[4] >> 5 == 1, "single segment, size in one byte"
    frame[5] = size
    return bytes(frame)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x28\xb5\x2f\xfd", b"no frame at all", wire.pack(b"cut short")[:-2], unsized(b"of no stated size"),
        resized(b"states too much", 100), resized(b"states too little", 3), resized(bytes(200), 100),
        wire.pack(b"one") + wire.pack(b""), wire.pack(b"one") + b"more",
    ],
)  # fmt: skip
def test_broken_frames_are_refused(data: bytes) -> None:
    assert traced_peak(data) < 1 << 20


@given(damaged(st.binary(max_size=300).map(wire.pack)))
def test_damaged_payloads_are_refused_cleanly_or_within_the_limit(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(wire.unpack(data, 1000)) <= 1000


# --- byte planes -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 300), max_size=20))
def test_planes_come_back(column: list[int]) -> None:
    for dtype in ("<i8", ">i8", "<u8"):
        data = wire.planes(np.array(column, dtype=dtype))
        assert wire.from_planes(data, len(column), 8, "column").tolist() == column


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300), max_size=20))
def test_small_numbers_of_either_sign_are_small_when_zigzag(column: list[int]) -> None:
    numbers = np.array(column, dtype=np.int64)
    there = wire.zigzag(numbers)
    assert wire.from_zigzag(there.view(np.int64)).tolist() == column
    assert there.tolist() == [2 * n if n >= 0 else -2 * n - 1 for n in column]


def test_planes_hold_the_lowest_bytes_first_and_none_of_zeros_on_top() -> None:
    assert wire.planes(np.array([0x0102, 0x0304])) == b"\x02\x04\x01\x03"
    assert wire.planes(np.array([0, 0])) == wire.planes(np.array([], dtype=np.int64)) == b""


@pytest.mark.parametrize(
    ("data", "rows", "width"), [(bytes(9), 2, 8), (bytes(18), 2, 8), (b"1", 0, 8), (bytes(6), 2, 2)]
)
def test_a_column_cut_short_or_too_wide_is_refused(data: bytes, rows: int, width: int) -> None:
    with pytest.raises(ProtocolError, match="spread"):
        wire.from_planes(data, rows, width, "spread")
