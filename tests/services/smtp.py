"""A real mail server for tests, on a port of this machine."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from aiosmtpd.smtp import Session as SmtpSession
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from backstay.testing.waiting import LIMIT

NAME, PASSWORD = "shop", "a secret of the mail server"


class RecordingMailHandler:
    """Accepts and records every mail except those from or to the addresses in ``refused``.

    ``senders`` and ``recipients`` are those of the envelopes. ``verdict`` is its answer to a mail
    that has arrived as a whole.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.senders: list[str] = []
        self.recipients: list[str] = []
        self.refused: dict[str, str] = {}
        self.verdict = "250 OK"

    async def handle_MAIL(  # noqa: N802
        self, _: Any, __: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _: Any, __: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        if self.verdict.startswith("2"):
            self.mails.append(message_from_bytes(content, EmailMessage, policy=SMTPUTF8))
            self.senders.append(envelope.mail_from or "")
            self.recipients += envelope.rcpt_tos
        return self.verdict


def certified(folder: Path) -> Path:
    """A file with a key and a certificate that it signed itself, for `localhost`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "localhost.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(pem)
    )
    return path


@contextmanager
def smtp_server(
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    with_password: bool = False,
    with_utf8: bool = True,
) -> Iterator[RecordingMailHandler]:
    """A mail server that listens within the block; with a certificate it requires STARTTLS."""
    box = RecordingMailHandler()

    def check(_: Any, __: Any, ___: Any, ____: str, given: Any) -> AuthResult:
        fits = given == LoginPassword(NAME.encode(), PASSWORD.encode())
        return AuthResult(success=fits, handled=False)

    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=check if with_password else None,
        auth_required=with_password,
        enable_SMTPUTF8=with_utf8,
        ready_timeout=LIMIT,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
