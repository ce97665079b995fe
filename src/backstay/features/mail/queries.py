"""Queries about mailed links, and about the mails that a developer's machine keeps."""

from uuid import UUID

from sqlalchemy import bindparam, select

from backstay import (
    PUBLIC,
    SYSTEM_ONLY,
    Clock,
    FromPath,
    Grant,
    KeptMail,
    Mailbox,
    MailTokens,
    NotFound,
    PermissionSpec,
    PersonalData,
    Principal,
    Query,
    Reader,
    Sender,
    View,
    columns_of,
    handles,
)
from backstay.features.mail.model import MailToken
from backstay.features.mail.schemas import (
    KeptMailDetail,
    KeptMails,
    KeptMailSummary,
    Link,
    MailTokenExport,
    Purpose,
    TokenNotValid,
    TokenText,
)
from backstay.features.users.queries.accounts import GetAccount
from backstay.features.users.schemas import Account

_LIVE = select(MailToken.id, MailToken.user_id, MailToken.email, MailToken.epoch).where(
    MailToken.id == bindparam("id"),
    MailToken.purpose == bindparam("purpose"),
    MailToken.expires_at > bindparam("now"),
)


class FindLink(Query[tuple[Link, Account]]):
    """The live link of a token, and the account that it may change. Refused if there is none."""

    permission = SYSTEM_ONLY

    purpose: Purpose
    token: TokenText


@handles(FindLink)
async def find_link(
    query: FindLink, reader: Reader, tokens: MailTokens, clock: Clock, send: Sender
) -> tuple[Link, Account]:
    link_id = tokens.read(query.purpose, query.token)
    if link_id is None:
        raise TokenNotValid
    parameters = {"id": link_id, "purpose": query.purpose.value, "now": clock()}
    row = await reader.one_or_none(_LIVE, parameters)
    account = await send(GetAccount(user_id=row.user_id)) if row else None
    if account is None or not account.is_active or not _fits(row, account, query.purpose):
        raise TokenNotValid
    return Link(*row), account


def _fits(link: Link, account: Account, purpose: Purpose) -> bool:
    """Whether the account still has the link's address and, to reset a password, its security
    epoch.

    A new security epoch (another password, a block) thus invalidates links that reset the password.
    """
    if purpose is Purpose.RESET:
        return link.email == account.email and link.epoch == account.security_epoch
    return link.email in {account.email, account.pending_email}


class CheckLink(Query[bool]):
    """Whether a mailed link may still be used."""

    permission = PUBLIC

    purpose: Purpose
    token: TokenText


@handles(CheckLink)
async def check_link(query: CheckLink, send: Sender) -> bool:
    try:
        await send.as_system()(FindLink(purpose=query.purpose, token=query.token))
    except TokenNotValid:
        return False
    return True


class ListMailbox(Query[tuple[KeptMail, ...]]):
    """The mails that this machine keeps instead of sending them, the newest first."""

    permission = PUBLIC


@handles(ListMailbox)
async def list_mailbox(query: ListMailbox, mailbox: Mailbox | None) -> tuple[KeptMail, ...]:
    if mailbox is None:
        raise NotFound
    return tuple(await mailbox.mails())


class GetKeptMail(Query[KeptMail]):
    """One of the mails that this machine keeps."""

    permission = PUBLIC

    id: FromPath[str]


@handles(GetKeptMail)
async def get_kept_mail(query: GetKeptMail, mailbox: Mailbox | None) -> KeptMail:
    try:
        mail = None if mailbox is None else await mailbox.mail(UUID(query.id))
    except ValueError as error:  # a link that was cut off
        raise NotFound from error
    if mail is None:
        raise NotFound
    return mail


MAIL = PermissionSpec("mail", "read", description="Read the mails that are kept, not sent")


class ListKeptMails(Query[KeptMails]):
    """The mails that this machine keeps instead of sending them, the newest first.

    In `local` alone: a mail may hold a link that opens an account.
    """

    permission = MAIL


@handles(ListKeptMails)
async def list_kept_mails(
    query: ListKeptMails, send: Sender, principal: Principal, grant: Grant
) -> KeptMails:
    principal.check_reach(None, grant)
    return KeptMails(items=tuple(map(KeptMailSummary.of, await send(ListMailbox()))))


class ReadKeptMail(Query[KeptMailDetail]):
    """One of the mails that this machine keeps, as text."""

    permission = MAIL

    id: FromPath[str]


@handles(ReadKeptMail)
async def read_kept_mail(
    query: ReadKeptMail, send: Sender, principal: Principal, grant: Grant
) -> KeptMailDetail:
    principal.check_reach(None, grant)
    return KeptMailDetail.of(await send(GetKeptMail(id=query.id)))


class ExportMailTokens(PersonalData):
    """The links that were mailed to a person and may still be used."""

    permission = SYSTEM_ONLY


_EXPORT = (
    select(*columns_of(MailTokenExport, MailToken))
    .where(MailToken.user_id == bindparam("user_id"))
    .order_by(MailToken.id)
)


@handles(ExportMailTokens)
async def export_mail_tokens(query: ExportMailTokens, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(MailTokenExport.model_validate(row) for row in rows)
