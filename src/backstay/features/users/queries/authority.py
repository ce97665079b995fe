"""Whether somebody may act on an account: nobody reaches above themselves."""

from uuid import UUID

from backstay.core.bus import Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Scope
from backstay.core.principal import Grant, Principal
from backstay.features.access.queries import GetMembership


class OwnAccount(Forbidden):
    code, title = "users.own_account", "Change this of your own account through /users/me or /auth"


async def check_authority(
    user_id: UUID,
    principal: Principal,
    grant: Grant,
    send: Sender,
    *,
    others_only: bool = False,
    takes_over: bool = False,
) -> None:
    """Refuse whoever may not act on the account of this user, which need not exist.

    With ``others_only`` nobody acts on their own. What ``takes_over`` the account (a password,
    an e-mail address) is for others only, and needs every grant that its user holds.

    Raises:
        OwnAccount: it is the caller's own.
        Forbidden: the scope does not reach it, or its user stands above the caller.
    """
    if user_id == principal.user_id:
        if others_only or takes_over:
            raise OwnAccount
        return
    if grant.scope is Scope.OWN:
        raise Forbidden("Your role reaches only your own account.")
    if principal.is_superuser or principal.is_system:
        return
    target = await send.as_system()(GetMembership(user_id=user_id))
    if target.is_superuser:
        raise Forbidden("Only a superuser acts on the account of a superuser.")
    if target.level > principal.level:
        raise Forbidden("This person has a role of a higher level than yours.")
    if takes_over:
        beyond = (k for k, held in target.grants.items() if not _covers(principal.grant(k), held))
        if key := next(beyond, None):
            raise Forbidden(f"This person may do what you may not: {key}.")


def _covers(own: Grant | None, other: Grant) -> bool:
    """Whether a grant reaches as far as another, with no field rule that the other lacks."""
    if own is None or (own.scope is Scope.OWN and other.scope is Scope.ANY):
        return False
    return not own.has_field_rules or (own.allowed, own.denied) == (other.allowed, other.denied)
