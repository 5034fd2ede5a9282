"""Bytes on the wire: msgpack records, canonical bodies, zstd payloads; every limit is checked before decoding.

Bodies that are hashed or signed must be canonical: encoding what was decoded gives the same bytes back, so one meaning
has one hash. Nothing here raises anything but `ProtocolError`.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from qorum.core.messages import Contribution, Cut, Item, Kind, Message, Record, Value, Votes
from qorum.errors import UNREADABLE, ProtocolError
from qorum.merge.fixed import Ints

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAME = 100_000
"""Bytes of the largest frame of a federation whose certificates leave room for more: see `frame_limit`."""
MEMBER_BYTES = 136
"""A member's share of a frame: a signature in a certificate, another under a change of membership, mask, sketch."""
MAX_FRAME = 4096 * MEMBER_BYTES
"""Bytes of the largest frame of any federation."""
MAX_UNPACKED = 1 << 18
"""Bytes that any payload may grow to."""
CHUNK = 1 << 16
"""Bytes of one chunk of a state."""
LEVEL = 3

_encoder = msgspec.msgpack.Encoder()
_messages = msgspec.msgpack.Decoder(Message)
_bodies: dict[type[Record], msgspec.msgpack.Decoder[Any]] = {
    Contribution: msgspec.msgpack.Decoder(Contribution),
    Cut: msgspec.msgpack.Decoder(Cut),
    Value: msgspec.msgpack.Decoder(Value),
}

Body = TypeVar("Body", Contribution, Cut, Value)


def encode(record: msgspec.Struct) -> bytes:
    """The bytes of a message, body or durable record."""
    return _encoder.encode(record)


def frame_limit(members: int) -> int:
    """Bytes of the largest frame among so many members: room for a commit that changes the membership, or for a cut."""
    return min(MAX_FRAME, max(FRAME, MEMBER_BYTES * members))


def decode(frame: bytes) -> Message:
    """A message from a frame. Raises `ProtocolError` if it is too large or not a message."""
    if len(frame) > MAX_FRAME:
        raise ProtocolError(f"frame of {len(frame)} bytes; the limit is {MAX_FRAME}")
    try:
        message: Message = _messages.decode(frame)
    except UNREADABLE as error:
        raise ProtocolError(f"frame is not a message: {error}") from error
    return message


def decode_body(kind: type[Body], body: bytes) -> Body:
    """A contribution or value from the bytes that are hashed. Raises `ProtocolError` unless they are canonical."""
    try:
        record: Body = _bodies[kind].decode(body)
    except UNREADABLE as error:
        raise ProtocolError(f"body is not a {kind.__name__}: {error}") from error
    if _encoder.encode(record) != body:
        raise ProtocolError(f"{kind.__name__} is not in canonical form")
    return record


def contribution(item: Item) -> Contribution:
    """The body of an item, decoded once. Raises `ProtocolError` as `decode_body` does."""
    known: Contribution | None = item.__dict__.get("contribution")
    if known is None:
        known = item.__dict__["contribution"] = decode_body(Contribution, item.body)
    return known


def signed_bytes(kind: Kind, federation: bytes, epoch: int, round: int, term: int, body_hash: bytes) -> bytes:
    """What a signature covers: kind | federation | epoch | round | term | body hash, 85 bytes."""
    place = epoch.to_bytes(4, "big") + round.to_bytes(8, "big") + term.to_bytes(8, "big")
    return bytes((kind,)) + federation + place + body_hash


def signed_parts(data: bytes) -> tuple[Kind, int, int, int, bytes]:
    """Undo `signed_bytes`: kind, epoch, round, term, body hash."""
    epoch, round, term = (int.from_bytes(data[at : at + size], "big") for at, size in ((33, 4), (37, 8), (45, 8)))
    return Kind(data[0]), epoch, round, term, data[53:]


def pack(data: bytes) -> bytes:
    """Compressed bytes that state their unpacked size."""
    return zstd.compress(data, LEVEL)


def unpack(data: bytes, limit: int) -> bytes:
    """Undo `pack`. The stated size is checked before a byte is unpacked; raises `ProtocolError`.

    One frame and nothing after it: the size is that of the first frame, and a second one could unpack to anything.
    """
    frame = zstd.ZstdDecompressor()
    try:
        size: int | None = zstd.get_frame_info(data).decompressed_size
        if size is None or size > min(limit, MAX_UNPACKED):
            raise ProtocolError(f"payload would unpack to {size} bytes; the limit is {limit}")
        plain = frame.decompress(data, max_length=size + 1)
    except zstd.ZstdError as error:
        raise ProtocolError(f"payload does not unpack: {error}") from error
    if len(plain) != size or not frame.eof or frame.unused_data:
        raise ProtocolError(f"payload states {size} bytes and is not one whole frame of that size")
    return plain


def planes(column: NDArray[Any]) -> bytes:
    """Numbers from 0 as byte planes, the lowest bytes first and no plane of zeros on top: as narrow as the largest."""
    little = np.ascontiguousarray(column.astype("<u8", copy=False))
    by_plane = little.view(np.uint8).reshape(len(column), 8).T
    return by_plane[: -(-int(little.max(initial=0)).bit_length() // 8)].tobytes()


def from_planes(data: bytes, rows: int, width: int, what: str) -> Ints:
    """Undo `planes` for so many rows of at most `width` bytes. Raises `ProtocolError` naming `what`.

    Eight planes can hold numbers past the range of int64; these come out below zero.
    """
    if len(data) > rows * width or (data and len(data) % rows):
        raise ProtocolError(f"{what} holds {len(data)} bytes; {rows} rows take at most {width} each")
    little = np.zeros((rows, 8), dtype=np.uint8)
    if data:
        little[:, : len(data) // rows] = np.frombuffer(data, dtype=np.uint8).reshape(-1, rows).T
    return little.view("<i8").reshape(-1).astype(np.int64, copy=False)


def zigzag(column: Ints) -> NDArray[np.uint64]:
    """Signed numbers so that small ones of either sign are small: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return ((column << 1) ^ (column >> 63)).view(np.uint64)


def from_zigzag(column: Ints) -> Ints:
    """Undo `zigzag`, all 64 bits taken."""
    bits = column.view(np.uint64)
    return (bits >> np.uint64(1)).view(np.int64) ^ -(bits & np.uint64(1)).view(np.int64)


def vote_body(votes: Votes) -> tuple[bytes, int]:
    """What tells two votes for the same slot apart."""
    return votes.value, votes.cited
