"""The purposes and templates of mails, and the views about them."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import StringConstraints

from backstay import BadRequest, KeptMail, View

TemplateName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,100}$")]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class TokenNotValid(BadRequest):
    code, title = "mail.token_not_valid", "The link was used, has expired or is not valid"


class Purpose(StrEnum):
    """What a mailed link may be used for, and nothing else."""

    RESET = "reset"
    VERIFY = "verify"


LIFETIMES = {Purpose.RESET: timedelta(hours=1), Purpose.VERIFY: timedelta(hours=24)}


class Template(StrEnum):
    """A mail of the package; a project has further ones in `MAIL_TEMPLATES_DIR`."""

    RESET_PASSWORD = "reset_password"  # noqa: S105
    VERIFY_EMAIL = "verify_email"
    EMAIL_CHANGE_NOTICE = "email_change_notice"
    EMAIL_REPLACED = "email_replaced"
    PASSWORD_REPLACED = "password_replaced"  # noqa: S105
    NEW_DEVICE = "new_device"
    TOKEN_COPIED = "token_copied"  # noqa: S105


NOTICES = frozenset(
    {
        Template.EMAIL_REPLACED,
        Template.PASSWORD_REPLACED,
        Template.NEW_DEVICE,
        Template.TOKEN_COPIED,
    }
)
"""The notices to owners of accounts, which `MAIL_NOTICES` can switch off."""


@dataclass(frozen=True, slots=True)
class Link:
    """A mailed link that may still be used."""

    id: UUID
    user_id: UUID
    email: str
    epoch: int


class Accepted(View):
    """The request was taken; what becomes of it is told by mail only."""

    detail: str


UNSENT = Accepted(
    detail="No mail leaves this server before whoever runs it has named a mail server."
)
"""The answer to every request if no mail server is configured."""


class MailTokenExport(View):
    """A link that was mailed to a person, without its token."""

    purpose: str
    email: str
    created_at: datetime
    expires_at: datetime


class KeptMailSummary(View):
    """A mail in the list of those that are kept."""

    id: UUID
    sent_at: datetime
    recipient: str
    subject: str

    @classmethod
    def of(cls, kept: KeptMail) -> Self:
        """The view of a kept mail."""
        fields = {"id": kept.id, "sent_at": kept.sent_at, **asdict(kept.mail)}
        return cls(**{name: fields[name] for name in cls.model_fields})


class KeptMailDetail(KeptMailSummary):
    """A mail that is kept, as text."""

    text: str


class KeptMails(View):
    """The mails that are kept."""

    items: tuple[KeptMailSummary, ...]
