"""Shows how mail is sent to an SMTP server, and which of its answers are final."""

import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from backstay.core.clock import utc_now
from backstay.core.mail import Mail, MailNotSent, MailRefused
from backstay.jobs.timing import is_final
from backstay.mailing.local import FileMailer
from backstay.mailing.message import message_of
from backstay.mailing.smtp import SmtpMailer
from backstay.settings import load_settings
from backstay.testing.ports import free_port
from tests.services.smtp import NAME, PASSWORD, certified, smtp_server

pytestmark = pytest.mark.anyio

SENDER = "Shop <shop@example.org>"
MAIL = Mail("ada@example.org", "A subject", "Some text\n", "<p>Some text</p>\n")
IDN = "xn--bcher-kva.example"


def mailer(port: int, folder: Path, sender: str = SENDER, **variables: str) -> SmtpMailer:
    """A mailer on settings."""
    environ = {"MAIL_BACKEND": "smtp", "MAIL_HOST": "localhost", "MAIL_PORT": str(port)}
    settings = load_settings({**environ, **variables}, folder)
    return SmtpMailer(settings.mail, sender, utc_now)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The context of a server whose certificate is trusted."""
    certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_a_server_that_wants_a_password_gets_it(tmp_path: Path, tls: ssl.SSLContext) -> None:
    login = {"MAIL_USERNAME": NAME, "MAIL_PASSWORD": PASSWORD}
    with smtp_server(port := free_port(), tls=tls, with_password=True) as box:
        await mailer(port, tmp_path, **login).send(MAIL)
        wrong = {**login, "MAIL_PASSWORD": "another secret"}
        with pytest.raises(MailNotSent, match="MAIL_PASSWORD") as refused:
            await mailer(port, tmp_path, **wrong).send(MAIL)
        with pytest.raises(MailNotSent, match="refuses the mail"):
            await mailer(port, tmp_path).send(MAIL)
    assert [mail["Subject"] for mail in box.mails] == ["A subject"]
    assert "secret" not in refused.value.detail


async def test_a_server_without_tls_gets_no_mail_unless_it_may(tmp_path: Path) -> None:
    with smtp_server(port := free_port()) as box:
        for tls in ("starttls", "tls"):
            with pytest.raises(MailNotSent, match="MAIL_TLS"):
                await mailer(port, tmp_path, MAIL_TLS=tls).send(MAIL)
        assert box.mails == []


async def test_a_certificate_must_be_trusted(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with (
        smtp_server(port := free_port(), tls=tls) as box,
        pytest.raises(MailNotSent, match="MAIL_TLS"),
    ):
        await mailer(port, tmp_path).send(MAIL)
    assert box.mails == []


async def test_an_address_in_another_script_arrives(tmp_path: Path) -> None:
    with smtp_server(port := free_port()) as box:
        mail = Mail("δοκιμή@παράδειγμα.example", "Θέμα", "Κείμενο\n", "<p>Κείμενο</p>\n")
        await mailer(port, tmp_path, MAIL_TLS="none").send(mail)
    assert [(mail["Subject"], mail["To"]) for mail in box.mails] == [
        ("Θέμα", "δοκιμή@xn--hxajbheg2az3al.example")
    ]
    kept = FileMailer(tmp_path / "mail", SENDER, utc_now)
    await kept.send(mail)
    assert (await kept.mails())[0].mail.recipient == "δοκιμή@xn--hxajbheg2az3al.example"


@pytest.mark.parametrize("recipient", ["ada@bücher.example", f"ada@{IDN}", "ada@BÜCHER.example"])
async def test_domains_travel_in_ascii(tmp_path: Path, recipient: str) -> None:
    sender = "Bücher <shop@bücher.example>"
    with smtp_server(port := free_port(), with_utf8=False) as box:
        mail = Mail(recipient, "Grüße", "Grüße\n", "<p>Grüße</p>\n")
        await mailer(port, tmp_path, sender, MAIL_TLS="none").send(mail)
    assert (box.senders, box.recipients) == ([f"shop@{IDN}"], [f"ada@{IDN}"])
    (sent,) = box.mails
    assert (sent["From"], sent["To"]) == (f"Bücher <shop@{IDN}>", f"ada@{IDN}")
    assert sent["Message-ID"].endswith(f"@{IDN}>")


async def test_whatever_can_be_ascii_is_ascii_on_the_wire() -> None:
    mail = Mail("ada@bücher.example", "Grüße", "Grüße\n", "<p>Grüße</p>\n")
    raw = message_of(mail, "Bücher <shop@straße.example>", utc_now()).as_bytes()
    head = raw.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert b"shop@xn--strae-oqa.example" in head
    assert message_from_bytes(raw, EmailMessage, policy=SMTP)["Subject"] == "Grüße"


async def test_an_address_that_needs_smtputf8_fails_permanently_without_it(
    tmp_path: Path,
) -> None:
    with smtp_server(port := free_port(), with_utf8=False) as box:
        mail = Mail("δοκιμή@example.org", "A subject", "", "")
        with pytest.raises(MailRefused, match="SMTPUTF8") as refused:
            await mailer(port, tmp_path, MAIL_TLS="none").send(mail)
    assert is_final(refused.value)
    assert "δοκιμή" not in refused.value.detail
    assert box.mails == []


@pytest.mark.parametrize("code", [421, 450, 451, 452, 550, 552, 553, 554, 571])
@pytest.mark.parametrize("about", ["sender", "recipient", "mail"])
async def test_smtp_5xx_answers_are_final_and_4xx_answers_are_not(
    tmp_path: Path, about: str, code: int
) -> None:
    told = f"{code} ada@example.org is greylisted, says the server"
    with smtp_server(port := free_port()) as box:
        if about == "mail":
            box.verdict = told
        else:
            box.refused["ada@example.org" if about == "recipient" else "shop@example.org"] = told
        with pytest.raises((MailNotSent, MailRefused)) as refused:
            await mailer(port, tmp_path, MAIL_TLS="none").send(MAIL)
    assert is_final(refused.value) is (code >= 500)
    named = {"sender": "MAIL_FROM", "recipient": "the recipient", "mail": "the mail"}[about]
    assert refused.value.detail == f"The mail server localhost:{port} refuses {named} ({code})."


@pytest.mark.parametrize("code", [530, 534, 535, 538])
@pytest.mark.parametrize("about", ["sender", "recipient", "mail"])
async def test_a_failed_smtp_login_is_not_final(tmp_path: Path, about: str, code: int) -> None:
    told = f"{code} sign in first"
    with smtp_server(port := free_port()) as box:
        if about == "mail":
            box.verdict = told
        else:
            box.refused["ada@example.org" if about == "recipient" else "shop@example.org"] = told
        with pytest.raises(MailNotSent, match="MAIL_USERNAME") as refused:
            await mailer(port, tmp_path, MAIL_TLS="none").send(MAIL)
    assert not is_final(refused.value)
    assert str(code) in refused.value.detail
