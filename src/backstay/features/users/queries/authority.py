"""Checks whether a user may act on an account: never on one with a higher level."""

from typing import Any
from uuid import UUID

from backstay.core.context import Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Command, Message
from backstay.core.permissions import PermissionSpec, Scope
from backstay.features.access.queries.membership import (
    GetMembership,
    ListDeletedPowers,
    standing_of,
)
from backstay.features.access.schemas import Membership


class _OwnAccount(Forbidden):
    code, title = "users.own_account", "Change this of your own account through /users/me or /auth"


async def check_authority(
    message: Message[Any],
    user_id: UUID,
    send: Sender,
    *,
    others_only: bool = False,
    takes_over: bool = False,
) -> None:
    """Refuse a sender who may not act, as of now, on the account of this user.

    The account need not exist. A query needs a level at least as high as the user's, a command, or
    what ``takes_over``, a higher one.

    With ``others_only`` the own account is refused. ``takes_over`` stands for what gives control of
    the account (a password, an e-mail address). It is refused on the own account, and needs every
    grant that its user holds, or would hold again if a deleted role were restored.

    Raises:
        _OwnAccount: it is the caller's own, and ``others_only`` or ``takes_over`` is set.
        Unauthenticated: the caller was blocked or deleted meanwhile.
        Forbidden: the caller's scope does not reach it, or the caller's level or grants do not
            suffice.
    """
    held = await standing_of(message, send)
    if user_id == send.principal.user_id:
        if others_only or takes_over:
            raise _OwnAccount
        return
    if held.is_superuser:
        return
    if _reaches_own_only(message, held):
        raise Forbidden("Your role reaches only your own account.")
    ask = send.as_system()
    target = await ask(GetMembership(user_id=user_id))
    _check_level(target, held, above=takes_over or isinstance(message, Command))
    if not takes_over:
        return
    if target.gains(held):
        raise Forbidden("This person may do what you may not.")
    if any(_exceeds(power, held) for power in await ask(ListDeletedPowers(user_id=user_id))):
        raise Forbidden("This person has a deleted role that may do what you may not.")


def _check_level(target: Membership, held: Membership, *, above: bool) -> None:
    if target.is_superuser:
        raise Forbidden("Only a superuser acts on the account of a superuser.")
    if target.level > held.level:
        raise Forbidden("This person has a role of a higher level than yours.")
    if target.level == held.level and above:
        raise Forbidden("This needs a role of a higher level than this person's.")


def _exceeds(power: Membership, held: Membership) -> bool:
    return power.is_superuser or power.level >= held.level or bool(power.gains(held))


def _reaches_own_only(message: Message[Any], held: Membership) -> bool:
    policy = message.permission
    grant = held.grant(policy.key) if isinstance(policy, PermissionSpec) else None
    return grant is None or grant.scope is Scope.OWN
