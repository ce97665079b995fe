"""Shows that the adapters of mail keep the promises of their ports."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backstay.core.clock import utc_now
from backstay.core.mail import Mail, Mailer, MailTemplates, MailTokens
from backstay.mailing.local import FileMailer
from backstay.mailing.smtp import SmtpMailer
from backstay.mailing.templates import JinjaMailTemplates
from backstay.mailing.tokens import HmacMailTokens
from backstay.settings import load_settings
from backstay.testing import free_port
from backstay.testing.contracts import (
    Delivered,
    MailerContract,
    MailTemplatesContract,
    MailTokensContract,
)
from tests.services.smtp import RecordingMailHandler, smtp_server

SENDER = "Shop <shop@example.org>"


def smtp_mailer(port: int, folder: Path) -> SmtpMailer:
    environ = {"MAIL_HOST": "localhost", "MAIL_PORT": str(port), "MAIL_TLS": "none"}
    settings = load_settings({"MAIL_BACKEND": "smtp", **environ}, folder)
    return SmtpMailer(settings.mail, SENDER, utc_now)


class TestFileMailer(MailerContract):
    @pytest.fixture
    def mailer(self, tmp_path: Path) -> FileMailer:
        return FileMailer(tmp_path / "mail", SENDER, utc_now)

    @pytest.fixture
    def delivered(self, mailer: FileMailer) -> Delivered:
        async def read() -> Sequence[Mail]:
            return [kept.mail for kept in await mailer.mails()]

        return read

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> Mailer:
        (tmp_path / "file").touch()
        return FileMailer(tmp_path / "file", SENDER, utc_now)


class TestSmtpMailer(MailerContract):
    @pytest.fixture
    def port(self) -> int:
        return free_port()

    @pytest.fixture
    def box(self, port: int) -> Iterator[RecordingMailHandler]:
        with smtp_server(port) as box:
            yield box

    @pytest.fixture
    def mailer(self, box: RecordingMailHandler, port: int, tmp_path: Path) -> Mailer:
        return smtp_mailer(port, tmp_path)

    @pytest.fixture
    def delivered(self, box: RecordingMailHandler) -> Delivered:
        async def read() -> Sequence[Mail]:
            assert box.recipients == [str(mail["To"]) for mail in box.mails]
            parts = [[part.get_content() for part in mail.iter_parts()] for mail in box.mails]
            return [
                Mail(str(mail["To"]), str(mail["Subject"]), *bodies)
                for mail, bodies in zip(box.mails, parts, strict=True)
            ]

        return read

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> Mailer:
        return smtp_mailer(free_port(), tmp_path)


class TestHmacMailTokens(MailTokensContract):
    @pytest.fixture
    def tokens(self) -> MailTokens:
        return HmacMailTokens(b"k" * 32)

    @pytest.fixture
    def foreign(self) -> MailTokens:
        return HmacMailTokens(b"l" * 32)


class TestJinjaMailTemplates(MailTemplatesContract):
    @pytest.fixture
    def templates(self) -> MailTemplates:
        return JinjaMailTemplates("<Shop> & Co")
