"""Who signed what: Ed25519 identities, and one strict answer to "is this signature good?".

Ed25519 libraries agree on every signature an honest signer makes and differ on crafted ones. A liar could use
that to make a certificate that holds on some members only. So every member first applies one set of rules to
the bytes (`strict_form`: no library, no curve arithmetic) and asks a library only about what is left:

* the signature is 64 bytes, R then S, and the key A is 32 bytes;
* S < L, the order of the base point, so that S + L is not a second signature (RFC 8032, section 5.1.7);
* the encodings of A and R are canonical, and neither point is of small order ("Taming the many EdDSAs",
  Chalkias, Garillot and Nikolaenko, 2020).

The library behind `verify` must check the equation without the cofactor, as OpenSSL does; what is left then
has one answer. The reasons and the numbers are in docs/decisions/002-strict-signatures.md.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qorum.errors import ConfigError, IdentityError, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Identity", "Signer", "Verifier", "is_canonical_key", "strict_form", "verify"]

KEY_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32

_FIELD = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_Y_BITS = 2**255 - 1

# The y of every point of order 1, 2, 4 or 8. A point and its negative share y, so five numbers stand for all
# eight points. y = 1 and y = -1 are also the only ones with x = 0, where a sign bit is not canonical.
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD - 1, _Y_OF_ORDER_8, _FIELD - _Y_OF_ORDER_8})


def is_canonical_key(public_key: bytes) -> bool:
    """True if these are 32 bytes that encode a point canonically (y < p) and not one of small order.

    Does not tell whether the point is on the curve: one that is not verifies nothing. Never raises.
    """
    return type(public_key) is bytes and len(public_key) == KEY_BYTES and _is_strict_point(public_key)


def strict_form(public_key: bytes, signature: bytes) -> bool:
    """The part of the strict predicate that needs no library; `verify` is this and the equation. About 1 us.

    False for anything that is not `bytes` of the right length. Never raises.
    """
    return (
        is_canonical_key(public_key)
        and type(signature) is bytes
        and len(signature) == SIGNATURE_BYTES
        and int.from_bytes(signature[32:], "little") < _ORDER
        and _is_strict_point(signature[:32])
    )


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """True if `signature` (64 bytes) is a strict Ed25519 signature of `message` by `public_key` (32 bytes).

    Whatever the bytes, and for anything that is not `bytes`, the answer is False and nothing is raised.
    Raises MissingExtra if the `cryptography` library is not installed.
    """
    return (
        type(message) is bytes
        and strict_form(public_key, signature)
        and _equation_holds(public_key, message, signature)
    )


def _is_strict_point(encoding: bytes) -> bool:
    y = int.from_bytes(encoding, "little") & _Y_BITS
    return y < _FIELD and y not in _SMALL_ORDER_Y


def _equation_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    key = _parsed(public_key)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


# Bounded because the keys may come from a liar; 4096 is several of the largest federations.
@lru_cache(maxsize=4096)
def _parsed(public_key: bytes) -> Ed25519PublicKey:
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public_key)


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingExtra("cryptography", "node", "signing and verifying") from error


class Verifier:
    """`verify` with a memory of the newest answers: a relayed vote is checked once, however often it arrives.

    `capacity` is the number of answers kept, at least 1 (about 150 bytes each); the least recently asked is
    forgotten first. Bad signatures are remembered too, so one sent again is cheap to refuse. Not for use by
    several threads at once. Raises ConfigError for a capacity below 1.
    """

    def __init__(self, capacity: int = 65_536) -> None:
        if capacity < 1:
            raise ConfigError(f"capacity is {capacity}; a Verifier remembers at least 1 answer")
        self._capacity = capacity
        self._answers: OrderedDict[bytes, bool] = OrderedDict()

    def __len__(self) -> int:
        """The number of answers remembered now."""
        return len(self._answers)

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """The answer of `verify(public_key, message, signature)`; raises as it does."""
        if type(message) is not bytes or not strict_form(public_key, signature):
            return False
        # A digest, so that large messages are not kept alive. Key and signature have fixed lengths here, so
        # no two triples are hashed as the same bytes.
        slot = sha256(public_key + signature + message).digest()
        answer = self._answers.get(slot)
        if answer is None:
            answer = self._remember(slot, _equation_holds(public_key, message, signature))
        else:
            self._answers.move_to_end(slot)
        return answer

    def _remember(self, slot: bytes, answer: bool) -> bool:
        self._answers[slot] = answer
        if len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
        return answer


class Signer(Protocol):
    """Whoever has a private key. Some answer at once; where others keep the keys, as browsers do, it takes a wait."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes others know it by."""

    def sign(self, message: bytes) -> bytes | Awaitable[bytes]:
        """The 64-byte signature of `message`, now or later."""


class Identity:
    """An Ed25519 private key and what a member does with it: sign, save, load.

    The private key leaves this object only through `save`; it is in no `repr` and in no error. `generate`,
    `from_seed` and `load` raise MissingExtra if the `cryptography` library is not installed.
    """

    __slots__ = ("_key", "_public_key")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Wraps a key of the `cryptography` library; use `generate`, `from_seed` or `load`."""
        self._key = key
        self._public_key = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Identity:
        """A new identity from the operating system's random source."""
        _need_cryptography()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        """The identity whose RFC 8032 private key is `seed` (32 bytes): the same every time, for simulations.

        Raises IdentityError if `seed` is not 32 bytes.
        """
        if type(seed) is not bytes or len(seed) != SEED_BYTES:
            given = f"{len(seed)} bytes" if type(seed) is bytes else type(seed).__name__
            raise IdentityError(f"the seed of an identity is {SEED_BYTES} bytes, got {given}")
        _need_cryptography()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Identity:
        """The identity in a file written by `save` (or any unencrypted PKCS #8 PEM file of an Ed25519 key).

        Raises IdentityError if the file is missing, is open to group or others, or does not hold such a key.
        """
        _need_cryptography()
        return cls(_key_of_pem(_read_private(Path(path)), Path(path)))

    @property
    def public_key(self) -> bytes:
        """The 32 bytes others know this identity by."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message` (deterministic, RFC 8032): strict, and verified by `verify`."""
        return self._key.sign(message)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the private key to a new file, mode 0600, as unencrypted PKCS #8 PEM, all of it or nothing.

        Raises IdentityError if `path` exists (whatever it holds stays as it is) or cannot be written.
        """
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_private(Path(path), pem)

    def __repr__(self) -> str:
        return f"Identity(public_key={self._public_key.hex()})"


def _key_of_pem(pem: bytes, path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: object = None
    # TypeError stands for an encrypted key. The library's words are dropped, in case they quote the file.
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(
            f"{path} does not hold an unencrypted Ed25519 private key (PKCS #8, PEM); restore it from a "
            "backup or have the federation re-key this member"
        )
    return key


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(4096)
    except FileNotFoundError:
        raise IdentityError(f"no identity at {path}; make one with Identity.generate().save(path)") from None
    except OSError as error:
        raise IdentityError(f"cannot read the identity at {path}: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        raise IdentityError(
            f"the private key at {path} is open to other users (mode {mode:04o}); "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )
    return content


def _write_private(path: Path, content: bytes) -> None:
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # born 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(scratch, path)  # unlike a rename, fails if the name is taken
        finally:
            os.unlink(scratch)
    except FileExistsError:
        raise IdentityError(f"{path} exists and was left as it is; choose another path") from None
    except OSError as error:
        raise IdentityError(f"cannot write the identity to {path}: {error.strerror}") from error
