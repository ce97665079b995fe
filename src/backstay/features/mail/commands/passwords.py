"""Commands that set a new password by a mailed link."""

import random
from dataclasses import dataclass

from backstay import (
    PUBLIC,
    SYSTEM_ONLY,
    ActivityNote,
    Clock,
    Command,
    Jobs,
    Mailer,
    Passwords,
    Sender,
    Transaction,
    handles,
    prepares,
)
from backstay.core.mail import MAIL_QUEUE, NoMailer
from backstay.features.mail.commands.links import mail_link, use_up
from backstay.features.mail.queries import FindLink
from backstay.features.mail.schemas import UNSENT, Accepted, Link, Purpose, TokenText
from backstay.features.users.commands.credentials import ConfirmEmail, StorePassword
from backstay.features.users.events import PasswordSetter
from backstay.features.users.queries.accounts import FindAccount
from backstay.features.users.queries.passwords import vet_and_hash
from backstay.features.users.schemas import Email, Password

ANSWER = Accepted(detail="If an account has this address, a mail is on its way to it.")

DELAY = 1.0, 4.0
"""The range of the random delay, in seconds, before the job begins: its load must not slow down the
next request in a way that reveals whether the account exists."""


class ForgotPassword(Command[Accepted]):
    """Ask for a mail with a link that sets a new password. The answer is always the same.

    Whether there is such an account is looked up later, by a job: nor does the time tell. Asked
    again before that, it is the same mail.
    """

    permission = PUBLIC

    email: Email


@handles(ForgotPassword)
async def forgot_password(command: ForgotPassword, jobs: Jobs, mailer: Mailer) -> Accepted:
    delay = random.uniform(*DELAY)  # noqa: S311
    mail = MailResetLink(email=command.email)
    await jobs.as_system().enqueue(mail, delay=delay, unique=command.email)
    return UNSENT if isinstance(mailer, NoMailer) else ANSWER


class MailResetLink(Command[None]):
    """Mail a link that sets a new password, if the address belongs to somebody who may sign in."""

    permission = SYSTEM_ONLY
    job_queue = MAIL_QUEUE

    email: Email


@handles(MailResetLink)
async def mail_reset_link(
    command: MailResetLink,
    session: Transaction,
    send: Sender,
    clock: Clock,
    jobs: Jobs,
    note: ActivityNote,
) -> None:
    account = await send(FindAccount(login=command.email))
    if account is None or not account.is_active:
        note.skip()
        return
    note.about(account.id)
    await mail_link(session, jobs, clock, account, Purpose.RESET, account.email)


class ResetPassword(Command[None]):
    """Set a new password with a mailed link. Every session ends; nothing else that was mailed to
    reset it counts any longer, nor does a change of the e-mail address that was under way.
    """

    permission = PUBLIC

    token: TokenText
    new_password: Password


@dataclass(frozen=True, slots=True)
class _NewSecret:
    """The used link, and the hash to store."""

    link: Link
    hashed: str


@prepares(ResetPassword)
async def hash_for_reset(
    command: ResetPassword, send: Sender, passwords: Passwords, note: ActivityNote
) -> _NewSecret:
    link, account = await send.as_system()(FindLink(purpose=Purpose.RESET, token=command.token))
    note.about(account.id)
    hashed = await vet_and_hash(
        command.new_password, account.email, passwords, send, field="new_password"
    )
    return _NewSecret(link, hashed)


@handles(ResetPassword)
async def reset_password(
    command: ResetPassword, session: Transaction, new: _NewSecret, send: Sender
) -> None:
    link, system = new.link, send.as_system()
    await use_up(session, link, Purpose.RESET)
    await system(
        StorePassword(
            user_id=link.user_id,
            password_hash=new.hashed,
            new_by=PasswordSetter.MAILED_LINK,
            epoch=link.epoch,
        )
    )
    await system(ConfirmEmail(user_id=link.user_id, email=link.email))
