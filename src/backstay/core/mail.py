"""Mail as the application sees it: what is sent, by whom, and the links that it carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from email_validator import validate_email

from backstay.core.errors import Invalid, Unavailable

MAIL_QUEUE = "mail"
"""Of the jobs that write and send mails."""


def ascii_domain(domain: str) -> str:
    """The form of a domain that every mail server knows (A-labels, RFC 5890).

    Raises:
        ValueError: it has none.
    """
    if domain.isascii():
        return domain
    checked = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
    return checked.ascii_domain


class MailNotSent(Unavailable):
    code, title = "mail.not_sent", "The mail could not be handed over"


class NoMailServer(MailNotSent):
    """Nobody said how mail is sent. To try again is no use before somebody does."""

    status, code, title = 422, "mail.no_server", "No mail server is configured"


class MailNotWritten(Invalid):
    code, title = "mail.not_written", "The mail cannot be written from its template"


class MailRefused(Invalid):
    code, title = "mail.refused", "The mail cannot be sent"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person, in both forms that readers show."""

    recipient: str
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """Hands mails over to whoever delivers them."""

    async def send(self, mail: Mail) -> None:
        """Hand one mail over.

        Raises:
            MailNotSent: not now; it may be tried again.
            MailRefused: never.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail that was kept instead of sent."""

    id: UUID
    sent_at: datetime
    mail: Mail


class Mailbox(Protocol):
    """The mails that were kept on a developer's machine."""

    async def mails(self) -> Sequence[KeptMail]:
        """All of them, the newest first."""
        ...

    async def mail(self, mail_id: UUID) -> KeptMail | None:
        """One of them, or None."""
        ...


class MailTemplates(Protocol):
    """Writes mails."""

    def write(self, template: str, recipient: str, values: Mapping[str, str]) -> Mail:
        """The mail of a template.

        Raises:
            MailNotWritten: there is no such template, or it asks for what is not in the values.
        """
        ...


class MailTokens(Protocol):
    """Makes the tokens of mailed links out of their rows' ids and a server key.

    So a token need not be stored: it is made when the mail is, again if that is tried again. The
    same key makes what stands for a recipient where mails are counted.
    """

    def write(self, purpose: str, link_id: UUID) -> str:
        """The token of a link. One of another purpose is another token."""
        ...

    def read(self, purpose: str, token: str) -> UUID | None:
        """The link that a token belongs to, or None when it is forged or of another purpose."""
        ...

    def pseudonym(self, address: str, *, exact: bool = False) -> str:
        """What stands for a mailbox where its address is not to be kept: always the same text.

        What follows a ``+`` in the local part is left out (RFC 5233), as it is the same mailbox,
        unless the ``exact`` address counts.
        """
        ...
