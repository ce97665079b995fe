"""Asks senders to prove again who they are: the rule of messages that are ``fresh``."""

from datetime import datetime
from typing import Any

from backstay.core.bus import Next, Step
from backstay.core.context import Context, Origin
from backstay.core.errors import FreshProofRequired
from backstay.core.messages import Message
from backstay.core.ports import Clock
from backstay.core.principal import Principal


def check_proof(
    message: type[Message[Any]], principal: Principal, origin: Origin, now: datetime
) -> None:
    """Refuse a user's request if their last proof is older than the message allows.

    Raises:
        FreshProofRequired: it is, or there is none.
    """
    fresh, proven_at = message.fresh, principal.proven_at
    if fresh is None or principal.is_system or not origin.is_request:
        return
    if proven_at is None or now - proven_at > fresh:
        raise FreshProofRequired(fresh)


def demanding_proof(clock: Clock) -> Step:
    """The step for messages that are ``fresh``: it asks users who send them by a request.

    What a handler sends or enqueues on their behalf is not asked for: its own message is.
    """

    def demand_proof(message: type[Message[Any]], call_next: Next) -> Next:
        if message.fresh is None:
            return call_next

        async def check(context: Context) -> Any:
            if not context.is_nested:
                check_proof(message, context.principal, context.origin, clock())
            return await call_next(context)

        return check

    return demand_proof
