"""`Seal`: what makes a channel of its own between two ends out of messages that others carry.

Each end makes a key for this one channel (`Exchange`) and tells the other its public half. From both come two keys, one
each way, under which every message is encrypted, authenticated and numbered. So whoever carries the messages can read
and change none, and whatever they add, repeat or leave out is noticed.

None of this says who the ends are: somebody in between could make a channel with each of them. `binding` names all that
was exchanged, so it then differs, and members sign it in the handshake as they sign the hash of a certificate.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAG = b"qorum sealed channel 1"
NUMBER_BYTES = 8
SEAL_BYTES = NUMBER_BYTES + 16
"""By which a sealed message is longer."""


class Lost(Exception):  # noqa: N818 - says what happened
    """A message came, and one before it did not."""


class Exchange:
    """One end's half of a channel; for one channel only."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()
        """32 bytes, for the other end."""

    def agree(self, name: bytes, theirs: bytes, *, dials: bool) -> Seal:
        """The channel, once the other end's public half is there. name: what both ends call it.

        Raises `ValueError` for 32 bytes that are no key, or one that leads to a secret known to all.
        """
        halves = (self.public, theirs) if dials else (theirs, self.public)
        secret = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
        binding = sha256(TAG + sha256(name).digest() + halves[0] + halves[1]).digest()
        keys = HKDF(SHA256(), length=64, salt=binding, info=TAG).derive(secret)
        first, second = keys[:32], keys[32:]
        return Seal(binding, *((first, second) if dials else (second, first)))


class Seal:
    """One end of a channel. `close` and `open` are for one thread each."""

    def __init__(self, binding: bytes, sends: bytes, receives: bytes) -> None:
        """sends, receives: keys of 32 bytes."""
        self.binding = binding
        """SHA-256 of the name and both public halves: the same at both ends only if nobody is in between."""
        self._sends, self._receives = ChaCha20Poly1305(sends), ChaCha20Poly1305(receives)
        self._sent = self._received = 0

    def close(self, message: bytes) -> bytes:
        """Seal the next message."""
        number = self._sent.to_bytes(NUMBER_BYTES, "big")
        self._sent += 1
        return number + self._sends.encrypt(_nonce(number), message, None)

    def open(self, sealed: bytes) -> bytes | None:
        """The message; None for what the other end has not sealed, or what was opened before.

        Raises `Lost` for a message of the other end before which one is missing.
        """
        number = sealed[:NUMBER_BYTES]
        if int.from_bytes(number, "big") < self._received:
            return None
        try:
            message = self._receives.decrypt(_nonce(number), sealed[NUMBER_BYTES:], None)
        except (InvalidTag, ValueError):
            return None
        if int.from_bytes(number, "big") > self._received:
            raise Lost("a message was lost on the way")
        self._received += 1
        return message


def _nonce(number: bytes) -> bytes:
    return number.rjust(12, b"\0")
