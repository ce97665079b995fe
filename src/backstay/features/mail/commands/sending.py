"""The job that hands one mail over."""

from datetime import datetime
from enum import Enum
from uuid import UUID

import structlog
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from backstay.core.bus import handles, prepares
from backstay.core.context import ActivityNote
from backstay.core.errors import AppError
from backstay.core.mail import MAIL_QUEUE, Mailer, MailTemplates, MailTokens
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.ports import Clock
from backstay.features.mail.schemas import NOTICES, Purpose, TemplateName
from backstay.features.users.schemas import Email
from backstay.settings import AppSettings, MailSettings

PAGES = {Purpose.RESET: "reset-password", Purpose.VERIFY: "verify-email"}
KNOWN = frozenset({"app_name", "recipient"})
log = structlog.get_logger("backstay.mail")


class SendMail(Command[None]):
    """Send a mail, with what its template wants to know. One with a link is given up once the link
    has expired.

    It is stored as a job, so it names the link, whose token is made when the mail is.
    """

    permission = SYSTEM_ONLY
    job_queue = MAIL_QUEUE

    template: TemplateName
    recipient: Email
    values: dict[str, str] = Field(default_factory=dict)
    purpose: Purpose | None = None
    link_id: UUID | None = None
    expires_at: datetime | None = None

    @field_validator("values")
    @classmethod
    def _says_nothing_twice(cls, values: dict[str, str]) -> dict[str, str]:
        if not KNOWN.isdisjoint(values):
            raise PydanticCustomError("known", "Every template knows app_name and recipient")
        return values


class Outcome(Enum):
    """What became of a mail."""

    SENT = "sent"
    EXPIRED = "expired"
    UNWANTED = "unwanted"


@prepares(SendMail)
async def hand_over(
    command: SendMail,
    templates: MailTemplates,
    mailer: Mailer,
    tokens: MailTokens,
    app: AppSettings,
    settings: MailSettings,
    clock: Clock,
) -> Outcome:
    if command.expires_at is not None and clock() >= command.expires_at:
        return Outcome.EXPIRED
    if command.template in NOTICES and not settings.notices:
        return Outcome.UNWANTED
    url = f"{app.public_url}/forgot-password"
    if command.purpose is not None and command.link_id is not None:
        token = tokens.write(command.purpose, command.link_id)
        url = f"{app.public_url}/{PAGES[command.purpose]}?token={token}"
    try:
        mail = templates.write(command.template, command.recipient, {"url": url, **command.values})
        await mailer.send(mail)
    except AppError as error:
        log.warning("mail not sent", template=command.template, reason=error.detail)
        raise
    return Outcome.SENT


@handles(SendMail)
async def send_mail(command: SendMail, outcome: Outcome, note: ActivityNote) -> None:
    note.skip()
    if outcome is Outcome.EXPIRED:
        log.warning("mail given up: its link has expired", template=command.template)
