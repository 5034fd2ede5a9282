"""What members say to each other. Small frozen records; `wire` turns them into bytes and back.

Field bounds are checked while decoding, so a record that exists has the right form. Whether it is signed and true is
for its reader to check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

MAX_CITATION_TERM = 2**31 - 1
MAX_PARTS = 64
"""Messages in one bundle: thousands of tiny ones that each ask for work would make one frame cost a second."""

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
MaybeHash = Annotated[bytes, Meta(max_length=32)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
MaybeSignature = Annotated[bytes, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Index = Annotated[int, Meta(ge=0, lt=2**12)]
Mask = Annotated[bytes, Meta(max_length=512)]  # one bit a seat, little endian
Signatures = Annotated[bytes, Meta(max_length=2**18)]  # 64 bytes a signer, in order of index
Hashes = Annotated[tuple[Hash, ...], Meta(max_length=512)]
Places = Annotated[bytes, Meta(max_length=6 * 4096)]  # see `places`
ValueBytes = Annotated[bytes, Meta(max_length=2**19)]  # an encoded `Value`; large only where it admits a member
Sketch = Annotated[bytes, Meta(max_length=2**14)]  # see `streams.sketch_of`

NIL = b""
"""The value of a vote for nothing."""
NO_TERM = -1
PLACE_BYTES = 6
SPARSE = 32
"""Up to this many set bits of a mask are sooner found one by one."""


def bits(mask: int) -> list[int]:
    """Indices of the set bits, ascending."""
    if mask.bit_count() > SPARSE:
        octets = np.frombuffer(mask.to_bytes(-(-mask.bit_length() // 8), "little"), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(octets, bitorder="little")).tolist()
    indices = []
    while mask:
        low = mask & -mask
        indices.append(low.bit_length() - 1)
        mask ^= low
    return indices


def mask_of(indices: Iterable[int]) -> int:
    """Undo `bits`."""
    mask = 0
    for index in indices:
        mask |= 1 << index
    return mask


def place(member: int, seq: int) -> bytes:
    """6 bytes that say where an item stands: member, seq. A hint: of two branches it names neither."""
    return member.to_bytes(2, "little") + seq.to_bytes(4, "little")


def places(data: bytes) -> list[bytes]:
    """Each place in `data`; a cut-off rest is ignored."""
    return [data[at : at + PLACE_BYTES] for at in range(0, len(data) - PLACE_BYTES + 1, PLACE_BYTES)]


class Kind(IntEnum):
    """What a signature is for; the first byte of everything signed, so no signature serves two purposes."""

    CONTRIBUTION = 1
    PROPOSAL = 2
    FIRST_VOTE = 3
    SECOND_VOTE = 4
    CONSENT = 5
    """Of the key that a change of membership concerns."""
    ENDORSEMENT = 6
    """Of a member's operator, for a change of membership."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of everything on the wire: a positional, tagged record."""


class Contribution(Record, frozen=True, tag=1):
    """The body of a stream item: register writes of one member, linked to the item before it."""

    member: Index
    incarnation: Count
    seq: Count
    previous: MaybeHash
    """Hash of the item it follows; empty for the author's committed head, which everybody knows."""
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


class Cut(Record, frozen=True, tag=15):
    """The body behind `Value.cut`."""

    advances: tuple[Advance, ...]
    """Members whose stream advances, ascending; everybody else stays where the last cut left it."""


class Join(Record, frozen=True, tag=1):
    """A newcomer takes the next free seat."""

    key: Key


class Leave(Record, frozen=True, tag=2):
    """A member gives up its seat, for good."""

    member: Index
    incarnation: Count


class Rekey(Record, frozen=True, tag=3):
    """A member whose store or key was lost goes on under a new key."""

    member: Index
    incarnation: Count
    """The new one: one more than the last."""
    key: Key


class Evict(Record, frozen=True, tag=4):
    """A member loses its seat, for good."""

    member: Index
    incarnation: Count


Change = Join | Leave | Rekey | Evict


class Evidence(Record, frozen=True, tag=16):
    """Proof that a member signed two bodies for one slot. It needs nothing but the member's key to be checked."""

    member: Index
    kind: Kind
    epoch: Count
    """For a contribution: the incarnation."""
    round: Count
    """For a contribution: the seq."""
    term: Count
    bodies: tuple[Hash, Hash]
    """Different, the smaller one first."""
    signatures: tuple[Signature, Signature]


class Petition(Record, frozen=True, tag=17):
    """A change of membership, with all that entitles to it: see `membership`."""

    change: Change
    consent: MaybeSignature = b""
    """By the new key to join or re-key, by the member's own to leave."""
    endorsers: Mask = b""
    signatures: Signatures = b""
    evidence: Evidence | None = None
    epoch: Count = 0
    """Where it was last checked, by whoever passes it on."""


class Value(Record, frozen=True, tag=3):
    """What a round agrees on: a cut, the state it leads to, and perhaps a change of membership. Voted for by hash."""

    round: Count
    previous: Hash
    """Hash of the value of the round before (never of its certificate: members hold different ones)."""
    epoch: Count
    cut: Hash
    """Of the encoded `Cut`; whoever holds the items rebuilds it from a few bytes instead of fetching it."""
    result: Hash
    """Of the state."""
    roster: Hash
    """Of the roster that decides the next round."""
    change: Petition | None = None


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
    signatures: Signatures

    @cached_property
    def mask(self) -> int:
        """The voters as an int bit mask."""
        return int.from_bytes(self.voters, "little")

    @cached_property
    def by_voter(self) -> dict[int, bytes]:
        """Signature of each voter."""
        starts = range(0, len(self.signatures), 64)
        return {voter: self.signatures[at : at + 64] for voter, at in zip(bits(self.mask), starts, strict=False)}

    def signed(self, signature: bytes) -> Votes:
        """One vote with its signature in place."""
        return msgspec.structs.replace(self, signatures=signature)

    def beyond(self, known: int) -> Votes | None:
        """These votes without those of the voters in mask `known`; None if none is left."""
        mask = self.mask & ~known
        if not mask:
            return None
        signatures = b"".join(self.by_voter[voter] for voter in bits(mask))
        voters = mask.to_bytes(len(self.voters), "little")
        return msgspec.structs.replace(self, voters=voters, signatures=signatures)


class Proposal(Record, frozen=True, tag=5):
    """A leader's proposal of a term."""

    round: Count
    term: Count
    value: ValueBytes
    sketch: Sketch
    """Of its cut."""
    cited: Votes | None
    """The first certificate that lets locked members vote for it."""
    signature: Signature

    def signed(self, signature: bytes) -> Proposal:
        """The same with its signature in place."""
        return msgspec.structs.replace(self, signature=signature)


class Commit(Record, frozen=True, tag=6):
    """Proof that a round is over."""

    value: ValueBytes
    certificate: Votes
    sketch: Sketch = b""
    """Of its cut; no part of the proof."""


class Announce(Record, frozen=True, tag=7):
    """Items the sender holds; pull what is new."""

    items: Places


class Pull(Record, frozen=True, tag=8):
    """Items, by place or by hash, and values and cuts, by hash, that the sender wants."""

    items: Places
    hashes: Hashes = ()


class Items(Record, frozen=True, tag=9):
    """Stream items, answering a pull or a digest."""

    items: tuple[Item, ...]


class ValueBody(Record, frozen=True, tag=10):
    """An encoded `Value`, answering a pull."""

    value: ValueBytes


class CutBody(Record, frozen=True, tag=18):
    """An encoded `Cut`, answering a pull."""

    cut: Annotated[bytes, Meta(max_length=2**19)]


class Root(Record, frozen=True, tag=11):
    """First leg of anti-entropy: a hash over all the sender holds of this round, with its place."""

    round: Count
    term: Count
    root: Annotated[bytes, Meta(min_length=8, max_length=8)]


class Digest(Record, frozen=True, tag=12):
    """Second leg: versions and vote masks. A hint only: a version moves only with a verified item."""

    round: Count
    term: Count
    seqs: Sketch
    """Newest contiguous item held of each member, beyond the cut of the round before: see `streams.sketch_of`."""
    first: Mask
    second: Mask
    holds_proposal: bool
    answer: bool
    """Whether the sender wants a digest back."""
    best: Annotated[int, Meta(ge=NO_TERM, le=MAX_CITATION_TERM)]
    """Term of the newest first certificate held; NO_TERM for none."""


class Behind(Record, frozen=True, tag=13):
    """The sender is too far behind for commits one by one; answered with epochs it has not seen, or a manifest."""

    round: Count
    """The one it is in; 0 for a newcomer."""
    epoch: Annotated[int, Meta(ge=-1, le=2**31 - 1)]
    """The newest whose roster it knows; -1 for a newcomer that knows none."""
    checkpoint: MaybeHash = b""
    """Hash of the value a newcomer was told to trust."""


class Origin(Record, frozen=True, tag=19):
    """What a newcomer's checkpoint stands for: the value it is the hash of, and the roster that value names."""

    value: ValueBytes
    roster: Annotated[bytes, Meta(max_length=2**20)]


class Epochs(Record, frozen=True, tag=20):
    """Commits that changed the membership, in order: each is checked with the roster that the one before led to."""

    commits: tuple[Commit, ...]


class Manifest(Record, frozen=True, tag=21):
    """A state that can be fetched, with its proof: the hashes of its chunks, whose hash is the state's."""

    commit: Commit
    chunks: Annotated[bytes, Meta(max_length=2**22)]
    """32 bytes a chunk."""


class Fetch(Record, frozen=True, tag=22):
    """Asks for chunks of a state by number."""

    state: Hash
    chunks: Annotated[tuple[Count, ...], Meta(max_length=64)]


class Chunk(Record, frozen=True, tag=23):
    """One chunk of a state, packed."""

    state: Hash
    number: Count
    data: bytes


class Bundle(Record, frozen=True, tag=14):
    """Several messages to one peer in one frame."""

    parts: Annotated[tuple[bytes, ...], Meta(max_length=MAX_PARTS)]


Message = (
    Item | Votes | Proposal | Commit | Announce | Pull | Items | ValueBody | CutBody | Root | Digest | Bundle
    | Evidence | Petition | Behind | Origin | Epochs | Manifest | Fetch | Chunk
)  # fmt: skip
