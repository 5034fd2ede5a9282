"""A channel of two ends: what others do to it on the way is noticed, and told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.node.seal import SEAL_BYTES, Exchange, Lost, Seal


def channel(name: bytes = b"link") -> tuple[Seal, Seal]:
    """Both ends of one: the dialler's first."""
    one, two = Exchange(), Exchange()
    return one.agree(name, two.public, dials=True), two.agree(name, one.public, dials=False)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=20))
def test_what_one_end_seals_the_other_opens_in_order(said: list[tuple[bool, bytes]]) -> None:
    ends = channel()
    for by_dialler, message in said:
        sender, receiver = ends if by_dialler else ends[::-1]
        sealed = sender.close(message)
        assert len(sealed) == len(message) + SEAL_BYTES
        assert len(message) < 8 or message not in sealed
        assert receiver.open(sealed) == message


@given(st.data())
def test_a_changed_bit_anywhere_makes_it_nothing_and_the_channel_goes_on(data: st.DataObject) -> None:
    one, two = channel()
    sealed = one.close(b"a message")
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    assert two.open(bytes(changed)) is None
    assert two.open(sealed) == b"a message"


@given(st.binary(max_size=64))
def test_noise_is_nothing(noise: bytes) -> None:
    _, two = channel()
    assert two.open(noise) is None


def test_what_was_opened_before_or_was_said_by_this_end_is_nothing() -> None:
    one, two = channel()
    first, second = one.close(b"first"), one.close(b"second")
    assert (two.open(first), two.open(first), two.open(second), two.open(first)) == (b"first", None, b"second", None)
    assert one.open(first) is None
    assert channel()[1].open(first) is None, "another channel"


def test_a_message_that_is_left_out_is_missed() -> None:
    one, two = channel()
    one.close(b"left out")
    with pytest.raises(Lost):
        two.open(one.close(b"next"))


def test_the_binding_tells_whether_anybody_is_in_between() -> None:
    one, two = channel()
    assert one.binding == two.binding
    dialler, listener, between = Exchange(), Exchange(), Exchange()
    to_dialler = dialler.agree(b"link", between.public, dials=True)
    to_listener = listener.agree(b"link", between.public, dials=False)
    assert to_dialler.binding != to_listener.binding
    other_name = dialler.agree(b"knil", listener.public, dials=True)
    assert other_name.binding != listener.agree(b"link", dialler.public, dials=False).binding


@pytest.mark.parametrize("half", [bytes(32), b"\1" + bytes(31), b"short"])
def test_a_half_that_is_no_key_or_leads_to_a_known_secret_is_refused(half: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Exchange().agree(b"link", half, dials=True)
