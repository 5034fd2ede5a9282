"""The strict signature predicate against public vectors and an independent curve; keys in files."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from hashlib import sha512
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum import identity
from qorum.errors import ConfigError, IdentityError, MissingExtra
from qorum.identity import Identity, Verifier, is_canonical_key, strict_form, verify

pytest.importorskip("cryptography")

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

VECTORS = Path(__file__).parent / "vectors"

# --- edwards25519 after RFC 8032, section 5.1, written for these tests: affine, slow, its own ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
ZERO: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def times(k: int, a: Point) -> Point:
    total = ZERO
    while k:
        if k & 1:
            total = add(total, a)
        a, k = add(a, a), k >> 1
    return total


def x_of(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return x if x % 2 == sign else -x % P


def decode(encoding: bytes) -> Point | None:
    """Leniently: y is reduced, and x = 0 may carry a sign bit."""
    n = int.from_bytes(encoding, "little")
    y = n % 2**255 % P
    x = x_of(y, n >> 255)
    return None if x is None else (x, y)


def encode(a: Point) -> bytes:
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


def all_encodings(a: Point) -> set[bytes]:
    """Every 32 bytes that a lenient decoder reads as this point."""
    ys = [y for y in (a[1], a[1] + P) if y < 2**255]
    signs = [a[0] & 1] if a[0] else [0, 1]
    return {(y | sign << 255).to_bytes(32, "little") for y in ys for sign in signs}


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + key + message).digest(), "little") % L


def equations(key: bytes, message: bytes, signature: bytes) -> tuple[bool, bool]:
    """Whether the verification equation holds (cofactorless, cofactored), S < L not asked for."""
    a, r, s = decode(key), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None:
        return False, False
    left, right = times(s, BASE), add(r, times(challenge(signature[:32], key, message), a))
    return left == right, times(8, left) == times(8, right)


BASE = (x_of(4 * pow(5, -1, P) % P, 0) or 0, 4 * pow(5, -1, P) % P)
ORDER_8 = next(
    point for y in range(2, 100) if (x := x_of(y, 0)) and times(4, point := times(L, (x, y))) != ZERO
)
SMALL = [times(i, ORDER_8) for i in range(8)]


def test_the_reference_curve_is_edwards25519() -> None:
    assert times(L, BASE) == ZERO != BASE
    assert times(8, ORDER_8) == ZERO
    assert len(set(SMALL)) == 8


# --- the library-free part ---


def test_every_encoding_of_every_small_order_point_is_refused_as_key_and_as_r() -> None:
    good = Identity.from_seed(bytes(32))
    signature = good.sign(b"m")
    encodings = set().union(*map(all_encodings, SMALL))
    assert len(encodings) == 14
    for encoding in encodings:
        assert not is_canonical_key(encoding)
        assert not strict_form(encoding, signature)
        assert not strict_form(good.public_key, encoding + signature[32:])


def test_no_other_canonical_point_is_taken_for_one_of_small_order() -> None:
    for k, torsion in product(range(1, 6), SMALL):
        assert is_canonical_key(encode(add(times(k, BASE), torsion)))


@pytest.mark.parametrize("sign", [0, 1])
def test_y_must_be_reduced(sign: int) -> None:
    def encoded(y: int) -> bytes:
        return (y | sign << 255).to_bytes(32, "little")

    assert not any(is_canonical_key(encoded(y)) for y in range(P, 2**255))
    assert is_canonical_key(encoded(P - 2))
    assert is_canonical_key(encoded(2))


def test_s_must_be_below_the_order_of_the_base_point() -> None:
    key, r = Identity.from_seed(bytes(32)).public_key, encode(BASE)
    assert strict_form(key, r + (L - 1).to_bytes(32, "little"))
    assert not strict_form(key, r + L.to_bytes(32, "little"))
    assert not strict_form(key, r + b"\xff" * 32)


@pytest.mark.parametrize("length", [0, 32, 63, 65, 96])
def test_the_lengths_are_exact(length: int) -> None:
    signer = Identity.from_seed(bytes(32))
    key, signature = signer.public_key, signer.sign(b"m")
    assert strict_form(key, signature)
    assert not strict_form(key, (signature + bytes(64))[:length])
    assert not strict_form((key * 3)[:length] if length != 32 else key[:31], signature)


# --- public vectors ---


def wycheproof() -> Iterator[tuple[str, bytes, bytes, bytes, bool]]:
    for group in json.loads((VECTORS / "ed25519_wycheproof.json").read_text())["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            yield f"{case['tcId']} {case['comment']}", key, message, signature, case["result"] == "valid"


class Case(NamedTuple):
    strict: bool
    cofactorless: bool
    cofactored: bool
    reason: str


# What each speccheck vector is made of, in their order; the equations are those of RFC 8032 with everything
# decoded leniently and S not bounded.
SPECCHECK = [
    Case(False, True, True, "A and R of small order, S = 0: holds for some messages nobody signed"),
    Case(False, True, True, "A of small order, R mixed: one key, many messages"),
    Case(False, True, True, "R of small order, A mixed"),
    Case(True, True, True, "A and R mixed, the small parts cancel: the one case where all checks agree"),
    Case(False, False, True, "A and R mixed, the small parts do not cancel: good only when cofactored"),
    Case(False, False, True, "A mixed, R not: good only when cofactored and 8k is not reduced mod L"),
    Case(False, True, True, "S + L in the place of S: a second signature"),
    Case(False, True, True, "S far above L: a check of the top bits alone lets it pass"),
    Case(
        False, False, False, "R of small order, not canonical, made for checkers that re-encode it to hash it"
    ),
    Case(False, True, True, "R of small order, not canonical, hashed as it came"),
    Case(
        False, False, True, "A of small order, not canonical, made for checkers that re-encode it to hash it"
    ),
    Case(False, True, True, "A of small order, not canonical, hashed as it came"),
]


def speccheck() -> list[tuple[bytes, bytes, bytes]]:
    cases = json.loads((VECTORS / "ed25519_speccheck.json").read_text())
    names = ("pub_key", "message", "signature")
    return [
        (bytes.fromhex(c[names[0]]), bytes.fromhex(c[names[1]]), bytes.fromhex(c[names[2]])) for c in cases
    ]


def library_alone(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_wycheproof_answers_are_the_strict_answers() -> None:
    cases = list(wycheproof())
    assert len(cases) == 151
    assert [name for name, *signed, valid in cases if verify(*signed) is not valid] == []


@pytest.mark.parametrize(("number", "expected"), list(enumerate(SPECCHECK)))
def test_speccheck(number: int, expected: Case) -> None:
    signed = speccheck()[number]
    assert verify(*signed) is expected.strict
    assert equations(*signed) == (expected.cofactorless, expected.cofactored)


def test_the_library_alone_accepts_what_the_predicate_refuses() -> None:
    answers = [(library_alone(*signed), verify(*signed)) for signed in speccheck()]
    assert (True, False) in answers
    assert (False, True) not in answers


# --- a corpus of crafted signatures: every small part of A and R, in every encoding ---


class Crafted(NamedTuple):
    key: bytes
    message: bytes
    signature: bytes
    holds: bool
    """Whether the cofactorless equation holds; the cofactored one holds for all."""
    has_small_point: bool


def crafted_points(scalar: int) -> list[tuple[bytes, int, int]]:
    """(encoding, log to BASE, log to ORDER_8): the small points in all encodings, then scalar*BASE + each."""
    alone = [(encoding, 0, i) for i in range(8) for encoding in sorted(all_encodings(SMALL[i]))]
    multiple = times(scalar, BASE)
    return alone + [(encode(add(multiple, SMALL[i])), scalar, i) for i in range(8)]


def craft(key: tuple[bytes, int, int], r: tuple[bytes, int, int], number: int) -> Crafted:
    message = b"message %d" % number
    k = challenge(r[0], key[0], message)
    s = (r[1] + k * key[1]) % L
    holds = (r[2] + k * key[2]) % 8 == 0
    return Crafted(key[0], message, r[0] + s.to_bytes(32, "little"), holds, not (key[1] and r[1]))


def crafted_corpus() -> list[Crafted]:
    """For each pair of points, one signature that holds and one that does not, if some message gives it."""
    found: dict[tuple[bytes, bytes, bool], Crafted] = {}
    for key, r, number in product(crafted_points(123456789), crafted_points(987654321), range(40)):
        case = craft(key, r, number)
        found.setdefault((key[0], r[0], case.holds), case)
    return list(found.values())


def test_the_predicate_decides_every_crafted_signature_as_the_curve_says() -> None:
    """This is what would catch a library that takes the cofactored equation, or compares R loosely."""
    corpus = crafted_corpus()
    assert len(corpus) > 700
    for case in corpus:
        expected = case.holds and not case.has_small_point
        assert verify(case.key, case.message, case.signature) is expected, case
    assert any(library_alone(*case[:3]) and case.has_small_point for case in corpus)


# --- honest signatures ---


def test_the_first_example_of_rfc_8032() -> None:
    signer = Identity.from_seed(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert signer.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary())
def test_what_is_signed_verifies_and_nothing_else_does(seed: bytes, message: bytes) -> None:
    signer = Identity.from_seed(seed)
    signature = signer.sign(message)
    assert verify(signer.public_key, message, signature)
    assert not verify(signer.public_key, message + b"\0", signature)
    assert not verify(Identity.from_seed(sha512(seed).digest()[:32]).public_key, message, signature)


def flips(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        yield (int.from_bytes(data, "little") ^ 1 << bit).to_bytes(len(data), "little")


def test_every_flipped_bit_is_refused() -> None:
    signer, message = Identity.from_seed(b"s" * 32), b"sixteen bytes..."
    key, signature = signer.public_key, signer.sign(message)
    assert verify(key, message, signature)
    assert not any(verify(flipped, message, signature) for flipped in flips(key))
    assert not any(verify(key, flipped, signature) for flipped in flips(message))
    assert not any(verify(key, message, flipped) for flipped in flips(signature))


KEYS = st.one_of(st.binary(max_size=70), st.binary(min_size=32, max_size=32))
SIGNATURES = st.one_of(
    st.binary(max_size=70),
    st.binary(min_size=64, max_size=64),
    st.binary(min_size=63, max_size=63).map(lambda head: head + b"\0"),  # S < L, so that the library is asked
)


@given(key=KEYS, message=st.binary(), signature=SIGNATURES)
def test_random_bytes_are_refused_and_never_raise(key: bytes, message: bytes, signature: bytes) -> None:
    assert verify(key, message, signature) is False
    assert Verifier().check(key, message, signature) is False


@pytest.mark.parametrize("other", [None, 7, "text", bytearray(64), memoryview(bytes(64)), [0] * 32])
def test_what_is_not_bytes_is_refused_and_never_raises(other: Any) -> None:
    signer = Identity.from_seed(bytes(32))
    key, message, signature = signer.public_key, b"m", signer.sign(b"m")
    for judge in (verify, Verifier().check):
        assert judge(other, message, signature) is False
        assert judge(key, other, signature) is False
        assert judge(key, message, other) is False


# --- the memory ---


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signature the library was really asked about."""
    messages: list[bytes] = []
    ask = identity._equation_holds

    def counted(key: bytes, message: bytes, signature: bytes) -> bool:
        messages.append(message)
        return ask(key, message, signature)

    monkeypatch.setattr(identity, "_equation_holds", counted)
    return messages


def test_a_verifier_asks_once_about_good_and_bad_alike(asked: list[bytes]) -> None:
    signer, verifier = Identity.from_seed(bytes(32)), Verifier()
    signature = signer.sign(b"said")
    for _ in range(3):
        assert verifier.check(signer.public_key, b"said", signature) is True
        assert verifier.check(signer.public_key, b"not said", signature) is False
    assert asked == [b"said", b"not said"]


def test_a_verifier_forgets_the_least_recently_asked(asked: list[bytes]) -> None:
    signer, verifier = Identity.from_seed(bytes(32)), Verifier(capacity=2)
    for message in (b"a", b"b", b"a", b"c", b"a", b"b"):
        assert verifier.check(signer.public_key, message, signer.sign(message))
        assert len(verifier) <= 2
    assert asked == [b"a", b"b", b"c", b"b"]


def test_a_verifier_keeps_nothing_about_malformed_input() -> None:
    verifier = Verifier()
    verifier.check(b"short", b"m", bytes(64))
    assert len(verifier) == 0


def test_a_verifier_agrees_with_verify_on_all_public_vectors() -> None:
    verifier = Verifier()
    cases = [signed for _, *signed, _ in wycheproof()] + [list(signed) for signed in speccheck()]
    for _ in range(2):
        assert [verifier.check(*signed) for signed in cases] == [verify(*signed) for signed in cases]


def test_a_verifier_needs_room_for_one_answer() -> None:
    with pytest.raises(ConfigError, match="capacity is 0"):
        Verifier(0)


# --- keys in memory and in files ---


def test_generate_makes_a_new_key_each_time() -> None:
    assert Identity.generate().public_key != Identity.generate().public_key


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), "a" * 32, bytearray(32)])
def test_a_seed_is_32_bytes(seed: Any) -> None:
    with pytest.raises(IdentityError, match="32 bytes, got"):
        Identity.from_seed(seed)


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    saved = Identity.generate()
    saved.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Identity.load(str(path)).public_key == saved.public_key
    assert os.listdir(tmp_path) == ["key.pem"]


@pytest.mark.parametrize("taken", ["file", "link"])
def test_save_never_overwrites(tmp_path: Path, taken: str) -> None:
    path, elsewhere = tmp_path / "key.pem", tmp_path / "elsewhere"
    if taken == "file":
        path.write_text("precious")
    else:
        path.symlink_to(elsewhere)
    with pytest.raises(IdentityError, match="exists"):
        Identity.generate().save(path)
    assert os.listdir(tmp_path) == ["key.pem"]
    assert path.is_symlink() if taken == "link" else path.read_text() == "precious"


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IdentityError, match="No space left"):
        Identity.generate().save(tmp_path / "key.pem")
    assert os.listdir(tmp_path) == []


def test_save_into_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot write the identity"):
        Identity.generate().save(tmp_path / "missing" / "key.pem")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_load_refuses_a_file_open_to_others_and_its_advice_works(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my key.pem"
    saved = Identity.generate()
    saved.save(path)
    path.chmod(mode)
    with pytest.raises(IdentityError, match="chmod 600") as refused:
        Identity.load(path)
    assert os.system(str(refused.value).split("run: ")[1]) == 0
    assert Identity.load(path).public_key == saved.public_key


def unusable_files() -> dict[str, bytes]:
    other = ec.generate_private_key(ec.SECP256R1())
    locked = Ed25519PrivateKey.generate()
    return {
        "empty": b"",
        "noise": bytes(range(256)),
        "public": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "kind": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "encrypted": locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")),
    }


@pytest.mark.parametrize("kind", ["empty", "noise", "public", "kind", "encrypted"])
def test_load_names_a_file_that_holds_no_such_key(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(unusable_files()[kind])
    with pytest.raises(IdentityError, match=r"key\.pem does not hold an unencrypted Ed25519"):
        Identity.load(path)


def test_load_of_a_missing_file_or_a_directory(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="no identity at"):
        Identity.load(tmp_path / "key.pem")
    with pytest.raises(IdentityError, match="cannot read the identity"):
        Identity.load(tmp_path)


def test_the_private_key_is_in_no_text(tmp_path: Path) -> None:
    seed = bytes(range(100, 132))
    signer = Identity.from_seed(seed)
    path = tmp_path / "key.pem"
    signer.save(path)
    secret_line = path.read_text().splitlines()[1]
    path.chmod(0o644)
    with pytest.raises(IdentityError) as refused:
        Identity.load(path)
    path.chmod(0o600)
    path.write_text(path.read_text().replace("END PRIVATE", "END BROKEN"))
    with pytest.raises(IdentityError) as broken:
        Identity.load(path)
    with pytest.raises(IdentityError) as long:
        Identity.from_seed(seed + b"x")
    for text in (
        repr(signer),
        str(signer),
        f"{signer}",
        *map(repr, (refused.value, broken.value, long.value)),
    ):
        assert seed.hex() not in text
        assert repr(seed)[2:-1] not in text
        assert secret_line not in text
    assert signer.public_key.hex() in repr(signer)


def test_without_the_library_the_strict_form_works_and_the_rest_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signer = Identity.generate()
    signature = signer.sign(b"m")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert strict_form(signer.public_key, signature)
    assert is_canonical_key(signer.public_key)
    for attempt in (
        Identity.generate,
        lambda: Identity.from_seed(bytes(32)),
        lambda: Identity.load(tmp_path / "key.pem"),
        lambda: verify(signer.public_key, b"m", signature),
    ):
        with pytest.raises(MissingExtra, match=r"pip install 'qorum\[node\]'"):
            attempt()
