"""Whether somebody may act on an account: nobody reaches above themselves."""

from typing import Any
from uuid import UUID

from backstay.core.bus import Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Message, PermissionSpec, Scope
from backstay.features.access.queries import GetMembership, standing_of
from backstay.features.access.schemas import Membership


class OwnAccount(Forbidden):
    code, title = "users.own_account", "Change this of your own account through /users/me or /auth"


async def check_authority(
    message: Message[Any],
    user_id: UUID,
    send: Sender,
    *,
    others_only: bool = False,
    takes_over: bool = False,
) -> None:
    """Refuse whoever may not act, by now, on the account of this user, which need not exist.

    With ``others_only`` nobody acts on their own. What ``takes_over`` the account (a password,
    an e-mail address) is for others only, and needs every grant that its user holds.

    Raises:
        OwnAccount: it is the caller's own.
        Unauthenticated: the caller was blocked or deleted meanwhile.
        Forbidden: the scope does not reach it, or its user stands above the caller.
    """
    held = await standing_of(message, send)
    if user_id == send.principal.user_id:
        if others_only or takes_over:
            raise OwnAccount
        return
    if held.is_superuser:
        return
    if _reaches_own_only(message, held):
        raise Forbidden("Your role reaches only your own account.")
    target = await send.as_system()(GetMembership(user_id=user_id))
    if target.is_superuser:
        raise Forbidden("Only a superuser acts on the account of a superuser.")
    if target.level > held.level:
        raise Forbidden("This person has a role of a higher level than yours.")
    if takes_over and target.gains(held):
        raise Forbidden("This person may do what you may not.")


def _reaches_own_only(message: Message[Any], held: Membership) -> bool:
    policy = message.permission
    grant = held.grant(policy.key) if isinstance(policy, PermissionSpec) else None
    return grant is None or grant.scope is Scope.OWN
