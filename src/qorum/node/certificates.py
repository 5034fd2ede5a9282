"""Certificates of nodes, and what TLS is set up with.

A certificate proves nothing by itself: in the handshake the keys of the members that a node hosts sign its hash. So
every node may make its own, and no name in it matters. Where an authority is given, each end must also show a
certificate of it. P-256, because browsers refuse the Ed25519 that members sign with.
"""

from __future__ import annotations

import os
import shlex
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qorum.errors import ConfigError
from qorum.node.config import Tls
from qorum.node.refused import Reason, Refused

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

VALID = timedelta(days=3650)
EARLY = timedelta(days=1)
"""How much a clock may be behind the one of the machine that made the certificate."""
PLAIN_TEXT = {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
"""What OpenSSL says of bytes that are no TLS."""


# --- making and reading them ---


def write_certificate(certificate: Path, key: Path, host: str) -> None:
    """Write a new P-256 key, mode 0600, and a certificate for `host` signed by it, both as PEM.

    Raises `ConfigError` if a file exists (both stay as they are) or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if certificate.exists():
        raise ConfigError(f"{certificate} exists and was left as it is; choose another path")
    private = ec.generate_private_key(ec.SECP256R1())
    _write_new(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _write_new(certificate, _self_signed(private, host).public_bytes(Encoding.PEM), 0o644)


def _self_signed(private: EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64] or "qorum")])
    now = datetime.now(UTC)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(private, SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host or "qorum")


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except FileExistsError:
        raise ConfigError(f"{path} exists and was left as it is; choose another path") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def certificate_hash(certificate: Path) -> bytes:
    """SHA-256 of the first certificate in a PEM file: what its node shows. Raises `ConfigError`."""
    try:  # without `cryptography.x509`, which takes two megabytes
        _, found, text = certificate.read_text("ascii").partition(ssl.PEM_HEADER)
        if not found:
            raise ValueError(f"there is no {ssl.PEM_HEADER} in it")
        first = text.partition(ssl.PEM_FOOTER)[0]
        return sha256(ssl.PEM_cert_to_DER_cert(f"{ssl.PEM_HEADER}{first}{ssl.PEM_FOOTER}")).digest()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read a certificate from {certificate}: {error}") from error


def certificate_end(certificate: Path) -> float:
    """When the first certificate in a PEM file expires, in seconds of the wall clock. Raises `ConfigError`."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read a certificate from {certificate}: {error}") from error


# --- TLS ---


def server_context(tls: Tls, refused: Callable[[Refused], None]) -> ssl.SSLContext:
    """TLS for the one port of a node. refused: told of whoever connects and does not manage to speak it.

    With an authority, whoever shows a certificate must show one of it; people and agents need none, and `/peer` asks
    for it. Raises `ConfigError` if a file is missing or wrong, or the key is open to other users.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    context.verify_mode = ssl.CERT_NONE if tls.ca is None else ssl.CERT_OPTIONAL
    context.sslobject_class = _watched(refused)
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """TLS for dialling other nodes. Raises `ConfigError` as `server_context` does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the members sign the certificate itself: see the head of this file
    _load(context, tls)
    context.verify_mode = ssl.CERT_NONE if tls.ca is None else ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _check_private(tls.key)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (tls.certificate, tls.key, tls.ca) if path is not None)
        raise ConfigError(f"cannot set up TLS with {files}: {error}") from error


def _check_private(key: Path) -> None:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"cannot read the private key at {key}: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        path = shlex.quote(str(key))
        raise ConfigError(f"the private key at {key} is open to other users (mode {mode:04o}); run: chmod 600 {path}")


def _watched(refused: Callable[[Refused], None]) -> type[ssl.SSLObject]:
    """TLS connections that tell of handshakes that fail: whoever serves them drops these without a word."""

    class Watched(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                refused(_refusal(error))
                raise

    return Watched


def _refusal(error: ssl.SSLError) -> Refused:
    if error.reason in PLAIN_TEXT:
        return Refused(Reason.NOT_TLS, "plain text on a port that speaks TLS")
    return Refused(Reason.BAD_TLS, f"its TLS is not as it should be: {error.reason or error}")


def hash_of(connection: Any) -> bytes:
    """SHA-256 of the certificate that the other end of an `ssl.SSLObject` shows."""
    shown: bytes | None = connection.getpeercert(binary_form=True)
    return sha256(shown or b"").digest()
