"""Finds and adds users, and keeps the last superuser, for all commands."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.context import Sender
from backstay.db.queries import one_or_404
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import JoinRole, LockSuperusers
from backstay.features.rate_rules.queries import GetDefaultTier
from backstay.features.users.model import User
from backstay.features.users.queries.roles import LastSuperuser


async def locked_user(user_id: UUID, session: Transaction, *, deleted: bool = False) -> User:
    """The user, locked until the transaction ends; with ``deleted`` also a deleted one.

    Raises:
        NotFound: there is no such user.
    """
    query = select(User).where(User.id == user_id)
    if not deleted:
        query = query.where(User.deleted_at.is_(None))
    return await one_or_404(session, query, lock=True)


async def add_user(user: User, session: Transaction, send: Sender, *roles: str) -> None:
    """Store a new user, in the tier of new users and with these roles."""
    system = send.as_system()
    user.tier = await system(GetDefaultTier())
    session.add(user)
    await session.flush()
    for role in roles:
        await system(JoinRole(user_id=user.id, role=role))


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
