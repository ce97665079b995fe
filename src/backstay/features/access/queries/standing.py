"""Reads what the sender of a message holds now, which may be less than when it was authorized."""

from typing import Any

from backstay.core.context import Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Message
from backstay.core.permissions import PermissionSpec
from backstay.features.access.queries.accounts import RequireActive
from backstay.features.access.queries.membership import GetMembership
from backstay.features.access.schemas import EVERYTHING, Membership


async def standing_of(message: Message[Any], send: Sender) -> Membership:
    """What the sender's roles add up to now; call it in the transaction that depends on it.

    Raises:
        Unauthenticated: the sender was blocked or deleted meanwhile.
        Forbidden: the sender has lost the message's permission meanwhile.
    """
    if send.principal.is_system:
        return EVERYTHING
    user_id, policy, ask = send.principal.id, message.permission, send.as_system()
    await ask(RequireActive(user_id=user_id))
    held = await ask(GetMembership(user_id=user_id))
    if isinstance(policy, PermissionSpec) and held.grant(policy.key) is None:
        raise Forbidden(f"This needs the permission {policy.key}.")
    return held
