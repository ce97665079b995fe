"""The checks of mail: whether a server takes it, without sending any."""

from collections.abc import Iterator
from email.utils import parseaddr

from backstay.cli.checks.finding import Finding, check, error, ok, warning
from backstay.cli.checks.subject import Subject
from backstay.core.clock import utc_now
from backstay.core.mail import MailNotSent


@check("mail.backend", "MAIL_")
def backend(subject: Subject) -> Iterator[Finding]:
    """Whether mails leave at all."""
    chosen = subject.settings.mail.chosen
    lacks = subject.backstay is not None and subject.backstay.lacks_mail_server
    if chosen == "smtp":
        yield ok("smtp")
    elif chosen == "file" and not subject.is_local:
        told = "MAIL_BACKEND is file: mails are kept in MAIL_DIR, and nobody gets them."
        yield warning(told, "Set it to smtp, and MAIL_HOST to your mail server.")
    elif lacks:
        told = "No mail server is configured, so nobody can set a new password."
        yield warning(told, "Set MAIL_HOST.")
    elif chosen is not None:
        yield ok(chosen)


@check("mail.server", "MAIL_", "APP_", seconds=12, mend="See MAIL_HOST, MAIL_PORT and MAIL_TLS.")
async def server(subject: Subject) -> list[Finding]:
    """Whether the server greets, encrypts and accepts the password; nothing is sent."""
    mail = subject.settings.mail
    if mail.chosen != "smtp" or not mail.host:
        return []
    from backstay.mailing.smtp import SmtpMailer

    try:
        await SmtpMailer(mail, mail.sender_of(subject.settings.app), utc_now).greet()
    except MailNotSent as failure:
        mend = "See that it runs, and MAIL_HOST, MAIL_PORT, MAIL_TLS, MAIL_USERNAME, MAIL_PASSWORD."
        return [error(failure.detail, mend)]
    how = "signed in" if mail.username else "without signing in"
    return [ok(f"{mail.host}:{mail.smtp_port}, {mail.tls}, {how}")]


@check("mail.sender", "MAIL_", "APP_")
def sender(subject: Subject) -> Iterator[Finding]:
    """Whether others accept whom mails are from."""
    if subject.is_local or subject.settings.mail.chosen != "smtp":
        return
    _, address = parseaddr(subject.settings.mail.sender_of(subject.settings.app))
    if address.rpartition("@")[2] in {"localhost", "localhost.localdomain"}:
        told = f"Mails are from {address}, which other servers refuse."
        yield warning(told, "Set MAIL_FROM to an address of yours.")
    else:
        yield ok(address)
