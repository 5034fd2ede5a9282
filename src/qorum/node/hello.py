"""The handshake of two nodes, without any input or output: messages in, answers out, and a proof of who is there.

Theory of operation. Each end says hello: version, federation, a fresh nonce, the certificate that it sees, and how much
it takes. Then each proves every member that it hosts: a signature with that member's key over

    tag | role | federation | certificate | SHA-256 of the dialler's hello | SHA-256 of the listener's hello

The hellos hold the nonces, so nothing of an earlier handshake is of use in this one; the certificate is that of the
listening end, as each end sees it, so whoever is in between with another one is found out; the role keeps a
proof from being sent back to whoever made it. The dialler proves first: a node signs nothing for strangers.

Browsers do not show pages a server's certificate: who dials from one says that it is `UNSEEN`, and both ends sign that.
The page's own connection is then only as private as the authorities make it that the browser trusts. A node
always sees the certificate, and what it says is signed, so nobody in between can make it look like a browser.

No byte from the other end makes this raise anything but `Refused`, and none is trusted before its size, form and
signature are checked. The other end has said nothing about itself that is believed until `peer` is there.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from inspect import isawaitable
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from qorum.core.messages import Hash, Index, Key, Signature
from qorum.core.roster import MAX_SEATS, Roster
from qorum.errors import UNREADABLE
from qorum.identity import Signer, verify
from qorum.node.budget import Some
from qorum.node.refused import Reason, Refused
from qorum.node.transport import UNSEEN

VERSION = 1
TAG = b"qorum link handshake"
"""First of what is signed: its first byte is none of `core.messages.Kind`, so no such signature serves elsewhere."""
STRANGERS = 256
"""Keys without a seat that one proof may hold: anybody can make some, and each costs a check of a signature."""
NONCES = 4096
"""Nonces remembered. A replay of an older one fails too, by its signatures."""
HELLO_LIMIT = 512
PROOF_LIMIT = 128 * MAX_SEATS
"""Bytes of a message."""

Message = TypeVar("Message", bound=msgspec.Struct)
Check = Callable[[bytes, bytes, bytes], bool | Awaitable[bool]]
"""(public key, message, signature) -> whether it holds, by the strict predicate; now or later."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="qorum hello"):
    """The first message of each end. Later versions may add fields."""

    version: Annotated[int, Meta(ge=0, lt=2**31)]
    federation: Hash
    certificate: Hash
    """Of the listening end, as the one who says hello sees it."""
    nonce: Hash
    bytes_per_second: Some
    """What this end takes for each member that the other one hosts,"""
    messages_per_second: Some
    """and likewise."""


class Claim(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member, or guest, that a node says it hosts."""

    member: Index | None
    """Its seat; None for whoever holds none."""
    key: Key
    signature: Signature


class Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="qorum proof"):
    """The second message of each end."""

    claims: Annotated[tuple[Claim, ...], Meta(min_length=1, max_length=MAX_SEATS)]


class Peer(NamedTuple):
    """A node whose proof holds."""

    hello: Hello
    keys: tuple[bytes, ...]
    """Of all that it hosts, in the order of its proof."""
    seated: bool
    """Whether it claims a seat for one of them."""


class Nonces:
    """The newest nonces of all handshakes of a node, its own and those of others."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def fresh(self) -> bytes:
        """A new one: 32 random bytes."""
        nonce = secrets.token_bytes(32)
        self.see(nonce)
        return nonce

    def see(self, nonce: bytes) -> None:
        """Take note of one. Raises `Refused` if it was there before."""
        if nonce in self._seen:
            raise Refused(Reason.REPLAYED, "a greeting that was heard, or said, before; or this node's own address")
        self._seen[nonce] = None
        if len(self._seen) > NONCES:
            self._seen.popitem(last=False)


class Party(NamedTuple):
    """A node, as its handshakes need to know it."""

    roster: Roster
    identities: Sequence[Signer]
    nonces: Nonces
    bytes_per_second: int
    messages_per_second: int
    verify: Check = verify


class Handshake:
    """One end of one handshake."""

    def __init__(self, node: Party, certificate: bytes, *, dials: bool, as_guest: bool = False) -> None:
        """certificate: SHA-256 of the listening end's. as_guest: claim no seats, since the other end knows none."""
        self._node, self._dials, self._as_guest = node, dials, as_guest
        self._mine = _encoder.encode(
            Hello(
                VERSION,
                node.roster.federation,
                certificate,
                node.nonces.fresh(),
                node.bytes_per_second,
                node.messages_per_second,
            )
        )
        self._certificate = certificate
        self._theirs = b""
        self._hello: Hello | None = None
        self.peer: Peer | None = None
        """Who is there; None until it is proven."""

    def start(self) -> bytes | None:
        """What to send before anything comes."""
        return self._mine if self._dials else None

    async def receive(self, message: bytes) -> bytes | None:
        """A message has come; the answer to it, if there is one. Raises `Refused`: then it is over."""
        if self.peer is not None:
            raise Refused(Reason.MALFORMED, "more than a handshake")
        if self._hello is None:
            self._hello = self._checked(message)
            self._theirs = message
            return await self._proof() if self._dials else self._mine
        self.peer = await self._proven(_decode(_proofs, message, PROOF_LIMIT), self._hello)
        return None if self._dials else await self._proof()

    # --- hello ---

    def _checked(self, message: bytes) -> Hello:
        hello = _decode(_hellos, message, HELLO_LIMIT)
        if hello.version != VERSION:
            raise Refused(Reason.VERSION, f"it speaks version {hello.version}, this node {VERSION}")
        ours = self._node.roster.federation
        if hello.federation != ours:
            names = f"{hello.federation.hex()[:16]}, this node {ours.hex()[:16]}"
            raise Refused(Reason.WRONG_FEDERATION, f"it belongs to federation {names}")
        if (self._certificate if self._dials else hello.certificate) == UNSEEN:
            self._certificate = UNSEEN
        elif hello.certificate != self._certificate:
            raise Refused(Reason.WRONG_CERTIFICATE, "it sees another certificate than this node: who is in between?")
        self._node.nonces.see(hello.nonce)
        return hello

    # --- proof ---

    def _signed(self, *, by_dialler: bool) -> bytes:
        """What the keys of one end sign."""
        first, second = (self._mine, self._theirs) if self._dials else (self._theirs, self._mine)
        hellos = sha256(first).digest() + sha256(second).digest()
        return TAG + bytes((by_dialler,)) + self._node.roster.federation + self._certificate + hellos

    async def _proof(self) -> bytes:
        data, roster = self._signed(by_dialler=self._dials), self._node.roster
        claims = []
        for identity in self._node.identities:
            signature = identity.sign(data)
            signature = await signature if isawaitable(signature) else signature
            seat = None if self._as_guest else roster.seat_of(identity.public_key)
            claims.append(Claim(seat, identity.public_key, signature))
        return _encoder.encode(Proof(tuple(claims)))

    async def _proven(self, proof: Proof, hello: Hello) -> Peer:
        """Whoever has signed all these claims. What costs nothing to check comes before signatures."""
        keys = tuple(claim.key for claim in proof.claims)
        if len(set(keys)) != len(keys):
            raise Refused(Reason.MALFORMED, "a key is claimed twice")
        own = {identity.public_key for identity in self._node.identities}
        if own.intersection(keys):
            raise Refused(Reason.TWIN, "it hosts a member that is hosted here; a key belongs on one node")
        if not self._dials:  # whoever is dialled may know of a newer membership: a guest, until this node knows it too
            for claim in proof.claims:
                self._check_seat(claim)
        strangers = sum(self._node.roster.seat_of(key) is None for key in keys)
        if strangers > STRANGERS:
            raise Refused(Reason.OVERSIZED, f"it hosts {strangers} without a seat; the limit is {STRANGERS}")
        data = self._signed(by_dialler=not self._dials)
        for claim in proof.claims:
            holds = self._node.verify(claim.key, data, claim.signature)
            if not (await holds if isawaitable(holds) else holds):
                raise Refused(Reason.WRONG_KEY, f"the claim of {_name(claim)} is not signed by its key")
        return Peer(hello, keys, any(claim.member is not None for claim in proof.claims))

    def _check_seat(self, claim: Claim) -> None:
        roster, member = self._node.roster, claim.member
        if member is None:
            return
        if member >= roster.members or not roster.seats[member].active:
            raise Refused(Reason.UNKNOWN_MEMBER, f"there is no {_name(claim)} in epoch {roster.epoch}")
        if roster.key(member) != claim.key:
            raise Refused(Reason.WRONG_KEY, f"{_name(claim)} has another key in epoch {roster.epoch}")


def _name(claim: Claim) -> str:
    return f"guest {claim.key.hex()[:16]}" if claim.member is None else f"member {claim.member}"


_encoder = msgspec.msgpack.Encoder()
_hellos = msgspec.msgpack.Decoder(Hello)
_proofs = msgspec.msgpack.Decoder(Proof)


def _decode(decoder: msgspec.msgpack.Decoder[Message], data: bytes, limit: int) -> Message:
    if len(data) > limit:
        raise Refused(Reason.OVERSIZED, f"handshake message of {len(data)} bytes; the limit is {limit}")
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise Refused(Reason.MALFORMED, f"no handshake: {error}") from error
