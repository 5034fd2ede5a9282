"""Messages: field bounds hold as soon as a record is decoded, and hashes and masks mean what they say."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core import messages, wire
from qorum.core.genesis import MAX_MEMBERS
from qorum.core.messages import NIL, NO_TERM, Head, Item, Kind, Message, Votes
from qorum.errors import ProtocolError

TAGGED = list(Message.__args__)  # type: ignore[attr-defined]


def votes(**fields: Any) -> Votes:
    given = {"step": 1, "round": 1, "term": 0, "value": NIL, "cited": NO_TERM, "voters": b"\1", "signatures": bytes(64)}
    return Votes(**(given | fields))


def test_tags_are_all_different() -> None:
    tags = [kind.__struct_config__.tag for kind in [*TAGGED, messages.Contribution, messages.Value]]
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


@pytest.mark.parametrize(
    "broken",
    [
        votes(step=0), votes(step=3), votes(round=-1), votes(round=1 << 31), votes(term=-1), votes(value=bytes(33)),
        votes(cited=-2), votes(cited=1 << 31), votes(voters=bytes(513)),
        votes(signatures=bytes(2**18 + 1)), Item(b"body", bytes(63)), Item(b"body", bytes(65)),
        messages.Announce((bytes(31),)), messages.Announce((bytes(32),) * 513), messages.Pull((bytes(33),)),
        messages.Pull((bytes(32),) * 513), messages.ValueBody(bytes(2**18 + 1)), messages.Root(1, 1, b""),
        messages.Proposal(1, 0, b"", None, b""),
    ],
)  # fmt: skip
def test_a_field_out_of_bounds_does_not_decode(broken: Message) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(wire.encode(broken))


@pytest.mark.parametrize(
    "change",
    [{"member": 1 << 16}, {"incarnation": -1}, {"seq": 1 << 31}, {"previous": b""}, {"base": -1}],
    ids=lambda change: next(iter(change)),
)
def test_a_contribution_out_of_bounds_does_not_decode(change: dict[str, Any]) -> None:
    good = messages.Contribution(0, 0, 1, bytes(32), 0, b"")
    assert wire.decode_body(messages.Contribution, wire.encode(good)) == good
    with pytest.raises(ProtocolError):
        wire.decode_body(messages.Contribution, wire.encode(msgspec.structs.replace(good, **change)))


def test_what_the_largest_federation_says_fits() -> None:
    top = 2**31 - 1
    cut = tuple(messages.Advance(member, Head(top, top, bytes(32), top)) for member in range(MAX_MEMBERS))
    value = wire.encode(messages.Value(top, bytes(32), top, cut, bytes(32)))
    certificate = votes(round=top, term=top, voters=b"\xff" * (MAX_MEMBERS // 8), signatures=bytes(64 * MAX_MEMBERS))
    for message in (
        messages.Proposal(top, top, value, certificate, bytes(64)),
        messages.Commit(value, certificate),
        messages.ValueBody(value),
    ):
        assert wire.decode(wire.encode(message)) == message


def test_records_are_values() -> None:
    head = Head(0, 1, bytes(32))
    assert head == Head(0, 1, bytes(32), 0)
    assert hash(head) == hash(Head(0, 1, bytes(32), 0))
    with pytest.raises(AttributeError):
        head.seq = 2  # type: ignore[misc]
