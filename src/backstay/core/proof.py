"""The pipeline step that asks senders to prove again who they are."""

from typing import Any

from backstay.core.bus import Next, Step
from backstay.core.context import Context
from backstay.core.errors import FreshProofRequired
from backstay.core.messages import Message
from backstay.core.ports import Clock


def demanding_proof(clock: Clock) -> Step:
    """The step for messages that are ``fresh``: it asks users who send them by a request.

    What a handler sends or enqueues on their behalf is not asked for: its own message is.
    """

    def demand_proof(message: type[Message[Any]], call_next: Next) -> Next:
        fresh = message.fresh
        if fresh is None:
            return call_next

        async def check(context: Context) -> Any:
            principal = context.principal
            is_asked = context.origin.is_request and not (principal.is_system or context.is_nested)
            proven_at = principal.proven_at
            if is_asked and (proven_at is None or clock() - proven_at > fresh):
                raise FreshProofRequired(fresh)
            return await call_next(context)

        return check

    return demand_proof
