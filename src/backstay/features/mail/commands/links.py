"""Creates links, uses them up, and removes expired ones."""

from datetime import timedelta

from sqlalchemy import func, select

from backstay import SYSTEM_ONLY, Clock, Command, Jobs, Purge, Transaction, handles, new_id
from backstay.features.mail.commands.sending import SendMail
from backstay.features.mail.model import MailToken
from backstay.features.mail.schemas import LIFETIMES, Link, Purpose, Template, TokenNotValid
from backstay.features.users.schemas import Account

MOST, WITHIN = 5, timedelta(hours=1)
"""The most links of one purpose that an account is mailed within that time.

Concurrent requests may exceed it by a few.
"""
_TEMPLATES = {
    Purpose.RESET: Template.RESET_PASSWORD,
    Purpose.VERIFY: Template.VERIFY_EMAIL,
}


async def mail_link(
    session: Transaction, jobs: Jobs, clock: Clock, account: Account, purpose: Purpose, email: str
) -> None:
    """Mail a link to an address of an account, unless ``MOST`` were mailed recently."""
    now = clock()
    recent = select(func.count()).where(
        MailToken.user_id == account.id,
        MailToken.purpose == purpose.value,
        MailToken.created_at > now - WITHIN,
    )
    if (await session.scalar(recent) or 0) >= MOST:
        return
    link = MailToken(
        id=new_id(),
        purpose=purpose.value,
        user_id=account.id,
        email=email,
        epoch=account.security_epoch,
        created_at=now,
        expires_at=now + LIFETIMES[purpose],
    )
    session.add(link)
    await jobs.enqueue(
        SendMail(
            template=_TEMPLATES[purpose],
            recipient=email,
            purpose=purpose,
            link_id=link.id,
            expires_at=link.expires_at,
        )
    )


async def use_up(session: Transaction, link: Link, purpose: Purpose) -> None:
    """Use up a link, and with it every other link of its purpose.

    Raises:
        TokenNotValid: a concurrent request has used it up.
    """
    if not await session.delete_where(MailToken, MailToken.id == link.id):
        raise TokenNotValid
    others = (MailToken.user_id == link.user_id, MailToken.purpose == purpose.value)
    await session.delete_where(MailToken, *others)


class PurgeMailTokens(Command[bool]):
    """Remove links that have expired; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeMailTokens)
async def purge_mail_tokens(command: PurgeMailTokens, clock: Clock, purge: Purge) -> bool:
    return await purge(MailToken, MailToken.expires_at < clock())
