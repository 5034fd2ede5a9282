"""`Envelope`: one message on a link: a frame, whose it is, and which members of the node at the other end get it.

Members go by their place in the proof of the node that hosts them. So an envelope means the same to both ends whatever
they know of the roster, and no one can speak for a member that the link does not prove.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from qorum.core.roster import MAX_SEATS
from qorum.core.wire import MAX_FRAME
from qorum.errors import UNREADABLE
from qorum.node.refused import Reason, Refused

Place = Annotated[int, Meta(ge=0, lt=MAX_SEATS)]

HEADER = 3 * MAX_SEATS + 16
"""Bytes around a frame: at most three for each member it is for."""
ENVELOPE_LIMIT = MAX_FRAME + HEADER


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A frame on its way."""

    sender: Place
    to: Annotated[tuple[Place, ...], Meta(min_length=1, max_length=MAX_SEATS)]
    frame: Annotated[bytes, Meta(max_length=MAX_FRAME)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """At most `ENVELOPE_LIMIT` bytes."""
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """Undo `encode`. Raises `Refused`."""
    if len(data) > ENVELOPE_LIMIT:
        raise Refused(Reason.OVERSIZED, f"message of {len(data)} bytes; the limit is {ENVELOPE_LIMIT}")
    try:
        envelope = _decoder.decode(data)
    except UNREADABLE as error:
        raise Refused(Reason.MALFORMED, f"message is no envelope: {error}") from error
    if len(set(envelope.to)) < len(envelope.to):  # else one small message would be as much work as thousands
        raise Refused(Reason.MALFORMED, "an envelope names somebody twice")
    return envelope
