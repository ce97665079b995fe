"""Makes sure that somebody who may do everything is always left."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.context import Sender
from backstay.db.session import Transaction
from backstay.features.access.commands import LockSuperusers
from backstay.features.users.model import User
from backstay.features.users.queries.roles import LastSuperuser


async def keep_a_superuser(session: Transaction, leaving: UUID, send: Sender) -> None:
    """Ask this before a user is blocked or deleted: until the transaction ends nobody else can.

    Raises:
        LastSuperuser: no other superuser lives and is not blocked.
    """
    superusers = await send.as_system()(LockSuperusers())
    if leaving not in superusers:
        return
    remaining = select(User.id).where(
        User.id.in_(superusers - {leaving}), User.deleted_at.is_(None), User.blocked_at.is_(None)
    )
    if await session.scalar(remaining.limit(1)) is None:
        raise LastSuperuser
