"""Whether an administrator may act as a user, asked at the beginning and of every session after."""

from uuid import UUID

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import Forbidden, Unauthenticated
from backstay.core.messages import Query
from backstay.core.permissions import PermissionSpec
from backstay.core.principal import Principal
from backstay.features.access.queries.membership import GetMembership
from backstay.features.users.queries.authority import check_authority

IMPERSONATE = PermissionSpec("users", "impersonate", description="Act as other users")


class CheckImpersonation(Query[None]):
    """Refuse a sender who may not act as this user, as both are now."""

    permission = IMPERSONATE

    user_id: UUID


@handles(CheckImpersonation)
async def check_impersonation(query: CheckImpersonation, send: Sender) -> None:
    await check_authority(query, query.user_id, send, takes_over=True)
    target = await send.as_system()(GetMembership(user_id=query.user_id))
    if target.is_superuser:
        raise Forbidden("Nobody acts as a superuser.")


async def may_impersonate(actor: Principal, user_id: UUID, send: Sender) -> bool:
    """Whether somebody may act as this user, as both are now."""
    try:
        await Sender(send.send, actor, send.origin, send.parent)(
            CheckImpersonation(user_id=user_id)
        )
    except (Forbidden, Unauthenticated):
        return False
    return True
