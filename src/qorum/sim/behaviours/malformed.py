"""Malformed input: bytes that are no message, messages out of bounds, and signatures made to divide verifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import msgspec

from qorum.core.messages import Chunk, Commit, Evidence, Item, Items, Message, Petition, Proposal, Votes
from qorum.sim.behaviours.behaviour import Behaviour

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the base point of Ed25519."""
SMALL_ORDER = (
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
)
"""Points of order 1, 2, 4 and 8, one of them not in canonical form."""


class Malformed(Behaviour):
    """Spoils a share of its frames, or says before them something that nobody should be able to read."""

    name = "malformed"

    def says(self, to: int, message: Message) -> Iterable[Message]:
        """Some messages again, with a signature or a number that is not good."""
        if self.random.random() < 0.15:
            return (_twisted(self.random, message), message)
        return (message,)

    def sends(self, to: int, frame: bytes) -> Iterable[bytes]:
        """Some frames with their bytes spoilt."""
        if self.random.random() < 0.15:
            spoilt = self.random.choice(SPOILS)(self.random, frame)
            return (spoilt, frame) if self.random.random() < 0.7 else (spoilt,)
        return (frame,)


def _truncated(random: Random, frame: bytes) -> bytes:
    return frame[: random.randrange(len(frame) + 1)]


def _flipped(random: Random, frame: bytes) -> bytes:
    spoilt = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
    return bytes(spoilt)


def _noise(random: Random, frame: bytes) -> bytes:
    return random.randbytes(random.choice((0, 1, 10, 1000)))


def _huge(random: Random, frame: bytes) -> bytes:
    """A claim to be gigabytes long: arrays, strings and binaries of 2^32 - 1."""
    return random.choice((b"\xdd", b"\xdb", b"\xc6")) + b"\xff" * 4 + frame


def _nested(random: Random, frame: bytes) -> bytes:
    """Arrays in arrays in arrays."""
    return b"\x91" * random.choice((10, 10_000)) + frame


def _extended(random: Random, frame: bytes) -> bytes:
    return frame + random.randbytes(random.randint(1, 50))


SPOILS: tuple[Callable[[Random, bytes], bytes], ...] = (_truncated, _flipped, _noise, _huge, _nested, _extended)


def _twisted(random: Random, message: Message) -> Message:
    """A message of good form and bad content."""
    replace = msgspec.structs.replace
    match message:
        case Votes():
            return replace(message, **random.choice(_spoilt_fields(random, message)))
        case Proposal():
            return replace(message, signature=_bad(random, message.signature))
        case Items():
            return replace(message, items=tuple(_bad_item(random, item) for item in message.items))
        case Item():
            return _bad_item(random, message)
        case Evidence():
            return replace(message, signatures=(_bad(random, message.signatures[0]), message.signatures[1]))
        case Petition():
            return replace(message, consent=_bad(random, message.consent.ljust(64, b"\0")))
        case Chunk():
            return replace(message, data=_flipped(random, message.data))
        case Commit():
            return replace(message, certificate=_twisted(random, message.certificate))
        case _:
            return message


def _spoilt_fields(random: Random, votes: Votes) -> Sequence[dict[str, Any]]:
    bad = [_bad(random, signature) for signature in votes.by_voter.values()]
    return (
        {"signatures": b"".join(bad)},
        {"voters": b"\xff" * len(votes.voters)},
        {"voters": votes.voters + b"\x01"},
        {"value": bytes(7)},
        {"cited": 5},
        {"term": 2**31 - 1},
        {"round": votes.round + 1},
    )


def _bad_item(random: Random, item: Item) -> Item:
    if random.random() < 0.5:
        return Item(item.body, _bad(random, item.signature))
    return Item(_flipped(random, item.body), item.signature)


def _bad(random: Random, signature: bytes) -> bytes:
    """A signature that a lax verifier might take: R of small order, S not reduced, or a bit of it flipped."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    return random.choice(
        (
            random.choice(SMALL_ORDER) + signature[32:],
            random.choice(SMALL_ORDER) + bytes(32),
            r + ((s + ORDER) % 2**256).to_bytes(32, "little"),
            _flipped(random, signature),
        )
    )
