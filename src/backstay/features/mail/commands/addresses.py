"""Commands that confirm an e-mail address."""

from uuid import UUID

from backstay import (
    PUBLIC,
    SIGNED_IN,
    SYSTEM_ONLY,
    ActivityNote,
    Clock,
    Command,
    Jobs,
    Mailer,
    Principal,
    Sender,
    Transaction,
    handles,
    subscribes,
)
from backstay.core.mail import MAIL_QUEUE, NoMailer
from backstay.features.mail.commands.links import mail_link, use_up
from backstay.features.mail.commands.sending import SendMail
from backstay.features.mail.queries import FindLink
from backstay.features.mail.schemas import UNSENT, Accepted, Purpose, Template, TokenText
from backstay.features.users.commands.credentials import ConfirmEmail
from backstay.features.users.events import EmailChangeRequested, EmailReplaced, UserRegistered
from backstay.features.users.queries.accounts import GetAccount

ANSWER = Accepted(detail="If an address of yours is to be confirmed, a mail is on its way to it.")


class MailVerification(Command[None]):
    """Mail a link that confirms the address which a user has not confirmed yet, if there is one."""

    permission = SYSTEM_ONLY
    job_queue = MAIL_QUEUE

    user_id: UUID


@handles(MailVerification)
async def mail_verification(
    command: MailVerification,
    session: Transaction,
    send: Sender,
    clock: Clock,
    jobs: Jobs,
    note: ActivityNote,
) -> None:
    account = await send(GetAccount(user_id=command.user_id))
    if account is None or not account.is_active:
        note.skip()
        return
    email = account.pending_email or (None if account.email_verified else account.email)
    if email is None:
        note.skip()
        return
    note.about(account.id)
    await mail_link(session, jobs, clock, account, Purpose.VERIFY, email)


@subscribes(UserRegistered)
def on_registration(event: UserRegistered) -> MailVerification:
    return MailVerification(user_id=event.user_id)


@subscribes(EmailReplaced)
def on_replacement(event: EmailReplaced) -> MailVerification:
    return MailVerification(user_id=event.user_id)


@subscribes(EmailChangeRequested)
def on_change(event: EmailChangeRequested) -> MailVerification:
    return MailVerification(user_id=event.user_id)


@subscribes(EmailChangeRequested)
def warn_of_change(event: EmailChangeRequested) -> SendMail:
    return SendMail(template=Template.EMAIL_CHANGE_NOTICE, recipient=event.email)


class VerifyEmail(Command[None]):
    """Confirm an e-mail address with a mailed link. A new address then takes the old one's place.

    Sessions stay as they are.
    """

    permission = PUBLIC

    token: TokenText


@handles(VerifyEmail)
async def verify_email(
    command: VerifyEmail, session: Transaction, send: Sender, note: ActivityNote
) -> None:
    system = send.as_system()
    link, account = await system(FindLink(purpose=Purpose.VERIFY, token=command.token))
    note.about(account.id)
    await use_up(session, link, Purpose.VERIFY)
    await system(ConfirmEmail(user_id=link.user_id, email=link.email))


class ResendVerification(Command[Accepted]):
    """Have the mail that confirms your e-mail address sent again, if one is to be confirmed."""

    permission = SIGNED_IN
    in_person = True
    replayable = False


@handles(ResendVerification)
async def resend_verification(
    command: ResendVerification, principal: Principal, jobs: Jobs, mailer: Mailer
) -> Accepted:
    await jobs.as_system().enqueue(MailVerification(user_id=principal.id))
    return UNSENT if isinstance(mailer, NoMailer) else ANSWER
