"""What members say to each other. Small frozen records; `wire` turns them into bytes and back.

Field bounds are checked while decoding, so a record that exists has the right form. Whether it is signed and true is
for its reader to check.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from functools import cached_property
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_CITATION_TERM = 2**31 - 1

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
MaybeHash = Annotated[bytes, Meta(max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Index = Annotated[int, Meta(ge=0, lt=2**16)]
Mask = Annotated[bytes, Meta(max_length=512)]  # one bit a member, little endian
Hashes = Annotated[tuple[Hash, ...], Meta(max_length=512)]
ValueBytes = Annotated[bytes, Meta(max_length=2**18)]  # an encoded `Value`: at most 54 bytes a member

NIL = b""
"""The value of a vote for nothing."""
NO_TERM = -1


def bits(mask: int) -> list[int]:
    """Indices of the set bits, ascending."""
    indices = []
    while mask:
        low = mask & -mask
        indices.append(low.bit_length() - 1)
        mask ^= low
    return indices


class Kind(IntEnum):
    """What a signature is for; the first byte of everything signed, so no signature serves two purposes."""

    CONTRIBUTION = 1
    PROPOSAL = 2
    FIRST_VOTE = 3
    SECOND_VOTE = 4


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of everything on the wire: a positional, tagged record."""


class Contribution(Record, frozen=True, tag=1):
    """The body of a stream item: register writes of one member, hash-linked to its previous item."""

    member: Index
    incarnation: Count
    seq: Count
    previous: Hash
    base: Count
    """Round of the agreed table the values were computed on."""
    payload: bytes
    """`columns` of the writes, packed; empty for an idle member that only shows it is there."""


class Item(Record, frozen=True, tag=2, dict=True):
    """A signed contribution as it travels: the author's own bytes, so that every relay passes on the same hash."""

    body: bytes
    signature: Signature

    @cached_property
    def hash(self) -> bytes:
        """32 bytes: names the item."""
        return hashlib.sha256(self.body).digest()


class Head(Record, frozen=True):
    """Where one member's stream stands."""

    incarnation: Count
    seq: Count
    hash: Hash
    base: Count = 0
    """Base round of that item; bases never fall along a stream."""


class Advance(Record, frozen=True):
    """One member's new head in a cut."""

    member: Index
    head: Head


class Value(Record, frozen=True, tag=3):
    """What a round agrees on: a cut, and the hash of the state it leads to."""

    round: Count
    previous: Hash
    """Hash of the value of the round before (never of its certificate: members hold different ones)."""
    epoch: Count
    cut: tuple[Advance, ...]
    """Members whose stream advances, ascending; everybody else stays where the last cut left it."""
    result: Hash


class Votes(Record, frozen=True, tag=4, dict=True):
    """Votes of one kind for one body in one (round, term). With a quorum of voters it is a certificate."""

    step: Annotated[int, Meta(ge=1, le=2)]
    round: Count
    term: Count
    value: MaybeHash
    """Hash of the value voted for, or NIL."""
    cited: Annotated[int, Meta(ge=NO_TERM, le=MAX_CITATION_TERM)]
    """Term of the best first certificate the voter knows; only in second votes for nil, else NO_TERM."""
    voters: Mask
    signatures: Annotated[bytes, Meta(max_length=2**18)]
    """64 bytes a voter, in order of index."""

    @cached_property
    def mask(self) -> int:
        """The voters as an int bit mask."""
        return int.from_bytes(self.voters, "little")

    @cached_property
    def by_voter(self) -> dict[int, bytes]:
        """Signature of each voter."""
        return {voter: self.signatures[64 * i : 64 * i + 64] for i, voter in enumerate(bits(self.mask))}


class Proposal(Record, frozen=True, tag=5):
    """A leader's proposal of a term."""

    round: Count
    term: Count
    value: ValueBytes
    cited: Votes | None
    """The first certificate that lets locked members vote for it."""
    signature: Signature


class Commit(Record, frozen=True, tag=6):
    """Proof that a round is over."""

    value: ValueBytes
    certificate: Votes


class Announce(Record, frozen=True, tag=7):
    """Hashes of items the sender holds; pull what is new."""

    items: Hashes


class Pull(Record, frozen=True, tag=8):
    """Hashes of items or values that the sender wants."""

    hashes: Hashes


class Items(Record, frozen=True, tag=9):
    """Stream items, answering a pull or a digest."""

    items: tuple[Item, ...]


class ValueBody(Record, frozen=True, tag=10):
    """An encoded `Value`, answering a pull."""

    value: ValueBytes


class Root(Record, frozen=True, tag=11):
    """First leg of anti-entropy: a hash over all the sender holds of this round, with its place."""

    round: Count
    term: Count
    root: Hash


class Digest(Record, frozen=True, tag=12):
    """Second leg: versions and vote masks. A hint only: a version moves only with a verified item."""

    round: Count
    term: Count
    seqs: bytes
    """uint32 little endian, newest contiguous seq held of each member."""
    first: Mask
    second: Mask
    holds_proposal: bool
    answer: bool
    """Whether the sender wants a digest back."""
    best: Annotated[int, Meta(ge=NO_TERM, le=MAX_CITATION_TERM)]
    """Term of the newest first certificate held; NO_TERM for none."""


class Snapshot(Record, frozen=True, tag=13):
    """A whole agreed state with its proof, for whoever is too far behind to be given rounds one by one."""

    value: ValueBytes
    certificate: Votes
    state: bytes


class Bundle(Record, frozen=True, tag=14):
    """Several messages to one peer in one frame."""

    parts: tuple[bytes, ...]


Message = (
    Item | Votes | Proposal | Commit | Announce | Pull | Items | ValueBody | Root | Digest | Snapshot | Bundle
)
