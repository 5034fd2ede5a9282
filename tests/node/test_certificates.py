"""Certificates: made, kept secret, hashed, and an authority where one is wanted."""

from __future__ import annotations

import asyncio
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from qorum.errors import ConfigError
from qorum.node.certificates import certificate_hash, client_context, server_context, write_certificate
from qorum.node.config import Tls
from qorum.node.refused import Reason
from qorum.node.websocket import PATH
from tests.node.authority import Authority
from tests.node.network import Station, running, tls_in, until


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "node-a.example"])
def test_a_new_certificate_is_of_a_p256_key_that_nobody_else_reads(host: str, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    write_certificate(certificate, key, host)
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    public = made.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    der = made.public_bytes(serialization.Encoding.DER)
    assert certificate_hash(certificate) == sha256(der).digest()
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert host in [str(name.value) for name in names]


@pytest.mark.parametrize("there", ["certificate.pem", "key.pem"])
def test_what_is_there_is_never_written_over(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match="exists and was left as it is"):
        write_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem", "127.0.0.1")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    tls = tls_in(tmp_path)
    tls.key.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        client_context(tls)


def test_files_that_are_missing_or_wrong_are_named(tmp_path: Path) -> None:
    tls = tls_in(tmp_path)
    other = tls_in(tmp_path, "other")
    with pytest.raises(ConfigError, match="cannot set up TLS with"):
        client_context(Tls(certificate=tls.certificate, key=other.key))
    with pytest.raises(ConfigError, match=r"missing\.key"):
        server_context(Tls(certificate=tls.certificate, key=tmp_path / "missing.key"), lambda refused: None)
    with pytest.raises(ConfigError, match=r"node\.key"):
        certificate_hash(tls.key)


def test_an_authority_vouches_for_both_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        authority = Authority(tmp_path)
        one = Station([0], tls=authority.issue("one"))
        async with running(one):
            two = Station([1], [one.address], tls=authority.issue("two"))
            stranger = Station([2], [one.address], tls=tls_in(tmp_path, "self-signed"))
            async with running(two, stranger):
                await until(lambda: one.reaches(1) and two.reaches(0))
                await until(lambda: one.refused(Reason.BAD_TLS), "the refusal of a certificate of nobody")
                assert not one.reaches(2)

    asyncio.run(scene())


def test_one_that_shows_no_certificate_reaches_the_port_but_not_the_links(tmp_path: Path) -> None:
    """People and agents use the same port."""

    async def scene() -> None:
        one = Station([0], tls=Authority(tmp_path).issue("one"))
        async with running(one), ClientSession() as session:
            with pytest.raises(WSServerHandshakeError) as answer:
                await session.ws_connect(f"wss://{one.address}{PATH}", ssl=False)
            assert answer.value.status == 403
            assert one.refused(Reason.NO_CERTIFICATE) == 1

    asyncio.run(scene())


def test_a_node_of_an_authority_does_not_link_to_one_without(tmp_path: Path) -> None:
    async def scene() -> None:
        without = Station([0], tls=tls_in(tmp_path, "without"))
        async with running(without):
            strict = Station([1], [without.address], tls=Authority(tmp_path).issue("strict"))
            async with running(strict):
                await until(lambda: "certificate verify failed" in strict.links.status()[0].state.lower())
                assert not without.reaches(1)

    asyncio.run(scene())
