"""Envelopes come back as they went in; anything else is refused."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.roster import MAX_SEATS
from qorum.core.wire import MAX_FRAME
from qorum.node.envelope import ENVELOPE_LIMIT, Envelope, decode, encode
from qorum.node.refused import Reason, Refused

places = st.integers(0, MAX_SEATS - 1)


@given(
    st.builds(
        Envelope, places, st.lists(places, min_size=1, max_size=20, unique=True).map(tuple), st.binary(max_size=200)
    )
)
def test_they_come_back(envelope: Envelope) -> None:
    assert decode(encode(envelope)) == envelope


def test_the_largest_is_within_the_limit() -> None:
    assert len(encode(Envelope(MAX_SEATS - 1, tuple(range(MAX_SEATS)), bytes(MAX_FRAME)))) <= ENVELOPE_LIMIT


@given(st.binary(max_size=300) | st.lists(st.integers() | st.binary(max_size=9), max_size=5).map(repr).map(str.encode))
def test_no_bytes_raise_anything_but_refused(data: bytes) -> None:
    with suppress(Refused):
        decode(data)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([0, [], b"to nobody"], Reason.MALFORMED),
        ([MAX_SEATS, [0], b"beyond all seats"], Reason.MALFORMED),
        ([0, [-1], b""], Reason.MALFORMED),
        ([0, [0], b"", "more"], Reason.MALFORMED),
        ([0, list(range(MAX_SEATS + 1)), b""], Reason.MALFORMED),
        ([0, [1, 2, 1], b"twice to one"], Reason.MALFORMED),
        ([0, [0], bytes(MAX_FRAME + 1)], Reason.MALFORMED),
        ([0, [0], bytes(ENVELOPE_LIMIT)], Reason.OVERSIZED),
    ],
)
def test_what_has_not_the_right_form_is_refused(content: list[object], reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        decode(msgspec.msgpack.encode(content))
    assert refused.value.reason is reason
