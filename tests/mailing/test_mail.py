"""Shows how mail is composed and delivered, and that headers cannot be injected."""

import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from email.policy import SMTP
from errno import ENOSPC
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest
from pydantic import ValidationError

from backstay.composition.adapters import mail_for
from backstay.core.clock import new_id, utc_now
from backstay.core.mail import Mail, Mailer, MailNotSent, MailNotWritten
from backstay.features.mail.commands.sending import SendMail
from backstay.jobs.timing import is_final
from backstay.mailing import local
from backstay.mailing.local import ConsoleMailer, FileMailer
from backstay.mailing.message import message_of
from backstay.mailing.templates import JinjaMailTemplates
from backstay.mailing.tokens import HmacMailTokens
from backstay.settings import load_settings
from tests.settings.conftest import OTHER, STRONG

pytestmark = pytest.mark.anyio

SENDER = "Shop <shop@example.org>"
MAIL = Mail("ada@example.org", "A subject", "Some text\n", "<p>Some text</p>\n")


def test_a_body_cannot_add_headers() -> None:
    text = "\r\n.\r\nMAIL FROM:<eve@example.org>\r\n\r\nBcc: eve@example.org\n"
    message = message_of(Mail("ada@example.org", "A subject", text, text), SENDER, utc_now())
    assert message["Bcc"] is None
    assert {name for name, _ in message.items()} == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    }


def test_html_is_escaped_and_text_is_not(tmp_path: Path) -> None:
    templates = JinjaMailTemplates("<Shop> & Co")
    mail = templates.write(
        "verify_email", "o'ada@example.org", {"url": "https://x.example/?a=1&b=2"}
    )
    assert mail.subject == "Confirm your e-mail address for <Shop> & Co"
    assert "https://x.example/?a=1&b=2\n" in mail.text
    assert "&lt;Shop&gt; &amp; Co" in mail.html
    assert "<Shop>" not in mail.html
    assert 'href="https://x.example/?a=1&amp;b=2"' in mail.html


def test_a_name_of_several_lines_stays_in_the_subject() -> None:
    templates = JinjaMailTemplates("Shop\r\nBcc: eve@example.org")
    mail = templates.write("reset_password", "ada@example.org", {"url": "https://x.example"})
    assert message_of(mail, SENDER, utc_now())["Bcc"] is None


def test_templates_of_a_project_replace_ours_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "verify_email.txt").write_text("Ahoy {{ recipient }}\n\n{{ url }}\n")
    templates = JinjaMailTemplates("Shop", str(tmp_path))
    mail = templates.write("verify_email", "ada@example.org", {"url": "https://x.example"})
    assert (mail.subject, mail.text) == ("Ahoy ada@example.org", "https://x.example\n")
    assert "Confirm the address" in mail.html
    other = templates.write("reset_password", "ada@example.org", {"url": "https://x.example"})
    assert other.subject == "Set a new password for Shop"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("nothing", "There is no mail template nothing.txt."),
        ("half", "There is no mail template half.html."),
        ("order", "The mail template order: 'number' is undefined."),
        ("torn", "The mail template torn: unexpected '}'."),
    ],
)
def test_a_broken_template_is_a_final_error_with_a_reason(
    tmp_path: Path, template: str, told: str
) -> None:
    for name in ("order", "torn"):
        (tmp_path / f"{name}.html").touch()
    (tmp_path / "half.txt").touch()
    (tmp_path / "order.txt").write_text("Order {{ number }}")
    (tmp_path / "torn.txt").write_text("{{ } }}")
    with pytest.raises(MailNotWritten) as refused:
        JinjaMailTemplates("Shop", str(tmp_path)).write(template, "ada@example.org", {})
    assert refused.value.detail == told
    assert is_final(refused.value)


def test_values_may_not_have_names_that_every_template_knows(tmp_path: Path) -> None:
    values = {"template": "a", "self": "b", "values": "c"}
    for kind in ("txt", "html"):
        (tmp_path / f"odd.{kind}").write_text("{{ template }}{{ values }} {{ recipient }}")
    mail = SendMail(template="odd", recipient="ada@example.org", values=values)
    written = JinjaMailTemplates("Shop", str(tmp_path)).write(
        mail.template, mail.recipient, mail.values
    )
    assert written.subject == "ac ada@example.org"
    for name in ("recipient", "app_name"):
        with pytest.raises(ValidationError, match="Every template knows"):
            SendMail(template="odd", recipient="ada@example.org", values={name: "a"})


def test_values_are_kept_as_a_job_stores_them() -> None:
    mail = Mail("ada@example.org", "A subject", "A text\n", "<p>A text</p>\n")
    given = {"total": Decimal("12.50"), "day": date(2026, 11, 30), "lines": ({"n": 1},), "m": mail}
    kept = SendMail(template="odd", recipient="ada@example.org", values=given)
    assert kept.values["total"] == "12.50"
    assert kept.values["day"] == "2026-11-30"
    assert kept.values["lines"] == [{"n": 1}]
    assert kept.values["m"]["subject"] == "A subject"
    assert SendMail.model_validate_json(kept.model_dump_json()) == kept


def test_values_that_no_job_can_store_are_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (object(), circle, b"\xff"):
        with pytest.raises(ValidationError, match="A job cannot store these values"):
            SendMail(template="odd", recipient="ada@example.org", values={"a": value})


def test_values_of_another_kind_are_a_final_error(tmp_path: Path) -> None:
    (tmp_path / "sum.txt").write_text("{{ total + 1 }}")
    (tmp_path / "sum.html").touch()
    with pytest.raises(MailNotWritten, match="The mail template sum: ") as refused:
        JinjaMailTemplates("Shop", tmp_path).write("sum", "ada@example.org", {"total": "1"})
    assert is_final(refused.value)


async def test_a_kept_mail_has_the_lines_that_were_written(tmp_path: Path) -> None:
    box = FileMailer(tmp_path, SENDER, utc_now)
    mail = Mail("ada@example.org", "A subject", "One\nTwo\n", "<p>One</p>\n<p>Two</p>\n")
    await box.send(mail)
    assert [kept.mail for kept in await box.mails()] == [mail]


async def test_files_are_private_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "KEPT", 10)
    box = FileMailer(tmp_path / "a" / "mail", SENDER, utc_now)
    assert (await box.mails(), await box.mail(new_id())) == ((), None)
    for number in range(13):
        await box.send(Mail("ada@example.org", f"Number {number}", "Äther\n", "<p>Äther</p>\n"))
    kept = await box.mails()
    assert [each.mail.subject for each in kept] == [
        f"Number {number}" for number in range(12, 2, -1)
    ]
    assert await box.mail(kept[7].id) == kept[7]
    assert kept[0].mail.text.strip() == "Äther"
    folder = tmp_path / "a" / "mail"
    assert S_IMODE(folder.stat().st_mode) == 0o700
    assert {S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file")
    with pytest.raises(MailNotSent, match="MAIL_DIR cannot be written"):
        await FileMailer(tmp_path / "mail", SENDER, utc_now).send(MAIL)


async def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", fill)
    with pytest.raises(MailNotSent, match="No space left"):
        await FileMailer(tmp_path / "mail", SENDER, utc_now).send(MAIL)
    assert list((tmp_path / "mail").iterdir()) == []


async def test_files_that_are_no_mails_are_ignored(tmp_path: Path) -> None:
    box = FileMailer(tmp_path, SENDER, utc_now)
    await box.send(MAIL)
    (tmp_path / "notes.eml").write_text("hello")
    (tmp_path / f"{new_id()}.eml").write_text("hello")
    assert [each.mail.subject for each in await box.mails()] == ["A subject"]


async def test_the_console_shows_the_text() -> None:
    stream = io.StringIO()
    await ConsoleMailer(stream).send(MAIL)
    assert "To: ada@example.org\nSubject: A subject\n\nSome text" in stream.getvalue()


@pytest.fixture
def full() -> Iterator[io.TextIOWrapper]:
    """A stream whose disk is full."""
    if not Path("/dev/full").exists():
        pytest.skip("needs Linux")
    with Path("/dev/full").open("wb", buffering=0) as file:
        stream = io.TextIOWrapper(file, write_through=True)
        yield stream
        stream.detach()


async def test_a_mail_that_cannot_be_printed_is_not_sent(full: io.TextIOWrapper) -> None:
    with pytest.raises(MailNotSent, match="No space left"):
        await ConsoleMailer(full).send(MAIL)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "FileMailer"),
        ({"MAIL_BACKEND": "console"}, "ConsoleMailer"),
        ({"MAIL_BACKEND": "smtp", "MAIL_HOST": "mail.example.org"}, "SmtpMailer"),
        ({"ENVIRONMENT": "production"}, "NoMailer"),
        ({"ENVIRONMENT": "production", "MAIL_HOST": "mail.example.org"}, "SmtpMailer"),
    ],
)
async def test_the_settings_choose_the_mailer(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    keys = {"SECURITY_SECRET_KEY": STRONG, "SECURITY_REFRESH_TOKEN_SECRET": OTHER}
    settings = load_settings({**keys, **variables}, tmp_path)
    chosen = mail_for(settings, b"k" * 32, utc_now)[Mailer]
    assert type(chosen).__name__ == expected
    if expected == "NoMailer":
        with pytest.raises(MailNotSent, match="set MAIL_HOST"):
            await chosen.send(MAIL)


def test_a_message_is_encoded_for_sending() -> None:
    raw = message_of(MAIL, SENDER, utc_now()).as_bytes(policy=SMTP)
    assert b"\r\n" in raw
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_a_pseudonym_is_half_a_hash() -> None:
    assert len(bytes.fromhex(HmacMailTokens(b"k" * 32).pseudonym("ada@example.org"))) == 16
