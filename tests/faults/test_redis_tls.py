"""Shows that over TLS the password is sent to a trusted server only."""

import gc
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from backstay.redis import client as redis_client
from backstay.settings import RedisAddress
from tests.faults.proxy import wire_to
from tests.logs import logged
from tests.redis.linking import address_of, link_to
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "valkey")])
    owner = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(owner, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(text + signed.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
async def address(valkey: ValkeyServer, certificate: Path) -> AsyncIterator[RedisAddress]:
    """The address of a Valkey with TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with wire_to(valkey.url, context) as (_, url):
        yield replace(address_of(url), tls=True)


async def test_a_server_with_a_known_certificate_is_used(
    address: RedisAddress, certificate: Path
) -> None:
    link = link_to(replace(address, ca_certs=str(certificate)))
    await link.start()
    assert link.is_up
    assert await link.call("PING") == b"PONG"
    await link.stop()


# asyncio leaves the server's end of a handshake that the other side gave up to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "CERTIFICATE_VERIFY_FAILED"),
        ({"ca_certs": "/no/file"}, "No such file"),
        ({"tls": False}, "closed by server"),
    ],
    ids=["unknown", "no file", "without TLS"],
)
async def test_a_server_with_another_certificate_is_not_used(
    address: RedisAddress, change: dict[str, object], reason: str
) -> None:
    with logged(redis_client) as logs:
        link = link_to(replace(address, **change))  # type: ignore[arg-type]
        await link.start()
        assert not link.is_up
        await link.stop()
    gc.collect()
    assert reason in logs[0]["reason"]
