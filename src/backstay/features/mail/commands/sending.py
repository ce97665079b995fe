"""The job that sends one mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError, PydanticSerializationError, to_jsonable_python

from backstay import (
    SYSTEM_ONLY,
    ActivityNote,
    AppError,
    AppSettings,
    Clock,
    Command,
    Limiter,
    Mailer,
    MailSettings,
    MailTemplates,
    MailTokens,
    Origin,
    Rate,
    handles,
    prepares,
)
from backstay.core.mail import IN_EVERY_MAIL, MAIL_QUEUE
from backstay.features.mail.schemas import NOTICES, Purpose, Template, TemplateName
from backstay.features.users.schemas import Email

PAGES = {Purpose.RESET: "reset-password", Purpose.VERIFY: "verify-email"}
SHARE = Rate(5, 3600)
"""The most mails with links, and the most notices of each kind, for one recipient."""
BEYOND = Rate(2, 3600)
"""How many further links to reset a password one address gets once ``SHARE`` is used up."""
_OURS = frozenset(template.value for template in Template)
log = structlog.get_logger("backstay.mail")


class SendMail(Command[None]):
    """Send a mail, written from a template and its values.

    Values may be whatever an answer may hold: texts, numbers, times, views, lists of them. The
    template gets them as JSON has them, so an amount (`Decimal`) is a text. A mail whose link has
    expired is not sent. The command is stored as a job, so it holds the id of the link; the token
    is derived when the mail is written. ``account_id`` is the account that a notice is about, if
    the address is confirmed.
    """

    permission = SYSTEM_ONLY
    job_queue = MAIL_QUEUE

    template: TemplateName
    recipient: Email
    values: Mapping[str, Any] = Field(default_factory=dict)
    purpose: Purpose | None = None
    link_id: UUID | None = None
    account_id: UUID | None = None
    expires_at: datetime | None = None

    @field_validator("values")
    @classmethod
    def _as_stored(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if not IN_EVERY_MAIL.isdisjoint(values):
            raise PydanticCustomError("known", "Every template knows app_name and recipient")
        try:
            stored: dict[str, Any] = to_jsonable_python(values)
        except (PydanticSerializationError, RecursionError, ValueError) as error:
            raise PydanticCustomError(
                "not_json", "A job cannot store these values: {cause}", {"cause": str(error)}
            ) from error
        return stored


@dataclass(frozen=True, slots=True)
class _HandedOver:
    """The outcome of a mail; ``given_up`` says why it was not sent."""

    given_up: str = ""


@prepares(SendMail)
async def hand_over(
    command: SendMail,
    templates: MailTemplates,
    mailer: Mailer,
    tokens: MailTokens,
    app: AppSettings,
    settings: MailSettings,
    clock: Clock,
    limiter: Limiter,
    origin: Origin,
) -> _HandedOver:
    if command.expires_at is not None and clock() >= command.expires_at:
        return _HandedOver("its link has expired")
    if command.template in NOTICES and not settings.notices:
        return _HandedOver()
    is_first = origin.job is None or origin.job.attempt == 1
    if is_first and not await _has_room(command, limiter, tokens):
        return _HandedOver("its recipient was sent enough of this kind")
    url = f"{app.public_url}/forgot-password"
    if command.purpose is not None and command.link_id is not None:
        token = tokens.write(command.purpose, command.link_id)
        url = f"{app.public_url}/{PAGES[command.purpose]}?token={token}"
    try:
        mail = templates.write(command.template, command.recipient, {"url": url, **command.values})
        await mailer.send(mail)
    except AppError as error:
        log.warning("mail not sent", template=command.template, reason=error.detail, fault=error)
        raise
    return _HandedOver()


async def _has_room(command: SendMail, limiter: Limiter, tokens: MailTokens) -> bool:
    """Whether a mail is within its limits. Mails of a project's own templates are not counted.

    Anybody can have links mailed to any address. All links to a recipient therefore count together,
    regardless of purpose and account. If they are used up, ``BEYOND`` still allows a few links to
    reset a password.

    Each kind of notice has its own share. Notices about an account with a confirmed address count
    for the account, so that other accounts cannot use its share up.
    """
    if command.template not in _OURS:
        return True
    kind = "link" if command.purpose is not None else command.template
    about = command.account_id or tokens.pseudonym(command.recipient)
    verdict = await limiter.hit(f"mail:{kind}:{about}", SHARE)
    if not verdict.allowed and command.purpose is Purpose.RESET:
        exact = tokens.pseudonym(command.recipient, exact=True)
        verdict = await limiter.hit(f"mail:{command.purpose}:{exact}", BEYOND)
    return verdict.allowed


@handles(SendMail)
async def send_mail(command: SendMail, handed: _HandedOver, note: ActivityNote) -> None:
    note.skip()
    if handed.given_up:
        log.warning(f"mail given up: {handed.given_up}", template=command.template)
