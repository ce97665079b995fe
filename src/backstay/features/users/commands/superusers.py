"""Ensures that there is always a superuser who can sign in."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.context import Sender
from backstay.db.session import Transaction
from backstay.features.access.commands import LockSuperusers
from backstay.features.users.model import User
from backstay.features.users.queries.roles import LastSuperuser


async def keep_a_superuser(session: Transaction, leaving: UUID, send: Sender) -> None:
    """Refuse to remove the last superuser; call it before a user is blocked or deleted.

    It locks all superusers until the transaction ends, so that concurrent removals wait.

    Raises:
        LastSuperuser: every other superuser is deleted or blocked, or there is none.
    """
    superusers = await send.as_system()(LockSuperusers())
    if leaving not in superusers:
        return
    remaining = select(User.id).where(
        User.id.in_(superusers - {leaving}), User.deleted_at.is_(None), User.blocked_at.is_(None)
    )
    if await session.scalar(remaining.limit(1)) is None:
        raise LastSuperuser
