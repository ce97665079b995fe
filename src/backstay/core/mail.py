"""Ports and errors of mail: what is sent, what sends it, and the tokens of links in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_validator import validate_email

from backstay.core.errors import Invalid, Unavailable

MAIL_QUEUE = "mail"
"""The queue of the jobs that write and send mails."""
IN_EVERY_MAIL = frozenset({"app_name", "recipient"})
"""What every template knows besides the values of its mail."""


def ascii_domain(domain: str) -> str:
    """The ASCII form of a domain, which every mail server understands (A-labels, RFC 5890).

    Raises:
        ValueError: the domain has no such form.
    """
    if domain.isascii():
        return domain
    checked = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
    return checked.ascii_domain


class MailNotSent(Unavailable):
    code, title = "mail.not_sent", "The mail could not be handed over"


class MailNotWritten(Invalid):
    code, title = "mail.not_written", "The mail cannot be written from its template"


class MailRefused(Invalid):
    code, title = "mail.refused", "The mail cannot be sent"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one recipient, as plain text and as HTML."""

    recipient: str
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """Hands mails over for delivery, for example to an SMTP server."""

    async def send(self, mail: Mail) -> None:
        """Hand one mail over.

        Raises:
            MailNotSent: it was not accepted now; a retry may succeed.
            MailRefused: it cannot be sent; a retry is useless.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail that was stored instead of sent."""

    id: UUID
    sent_at: datetime
    mail: Mail


class Mailbox(Protocol):
    """The mails that were stored on a developer's machine instead of sent."""

    async def mails(self) -> Sequence[KeptMail]:
        """All stored mails, the newest first."""
        ...

    async def mail(self, mail_id: UUID) -> KeptMail | None:
        """The stored mail with an id, or None."""
        ...


class MailTemplates(Protocol):
    """Writes mails from templates."""

    def write(self, template: str, recipient: str, values: Mapping[str, Any]) -> Mail:
        """The mail of a template. Values are what JSON can say, such as a list of objects.

        Raises:
            MailNotWritten: there is no such template, or it cannot be rendered with these values.
        """
        ...


class MailTokens(Protocol):
    """Derives the tokens of mailed links from the ids of their rows and a key of the server.

    A token is therefore never stored: it is derived when the mail is written, and again in a
    retry. The same key makes the pseudonyms under which mails to a recipient are counted.
    """

    def write(self, purpose: str, link_id: UUID) -> str:
        """The token of a link; another purpose gives another token."""
        ...

    def read(self, purpose: str, token: str) -> UUID | None:
        """The id of a token's link, or None if the token is forged or has another purpose."""
        ...

    def pseudonym(self, address: str, *, exact: bool = False) -> str:
        """The pseudonym of a mailbox, always the same text, where its address must not be stored.

        The part from a ``+`` on in the local part is ignored (RFC 5233), because it is the same
        mailbox, unless ``exact`` is true.
        """
        ...
