"""The pipeline steps that need no technology; `composition/pipelines.py` has their order."""

from inspect import isawaitable
from typing import Any

from backstay.core.bus import Next, Step
from backstay.core.context import Context
from backstay.core.errors import FieldError, Forbidden, Refusal, Unauthenticated
from backstay.core.messages import Command, Message
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY, PermissionSpec, Source
from backstay.core.principal import Grant
from backstay.core.registry import Registry


def authorize(message: type[Message[Any]], call_next: Next) -> Next:
    """Refuse what the principal may not send: by grant, field rules, then the message's rules."""
    policy, rules = message.permission, message.rules

    async def check(context: Context) -> Any:
        principal = context.principal
        if principal.is_system:
            return await call_next(context)
        if policy is SYSTEM_ONLY:
            raise Forbidden("Only the application itself may ask this.")
        if policy is not PUBLIC and principal.user_id is None:
            raise Unauthenticated
        if isinstance(policy, PermissionSpec):
            grant = principal.grant(policy.key)
            if grant is None:
                raise Forbidden(f"This needs the permission {policy.key}.")
            if grant.has_field_rules:
                _check_fields(context.message, grant)
            context.grant = grant
        for rule in rules:
            agrees = rule(principal, context.message)
            if not agrees or isawaitable(agrees):  # an awaitable is truthy, but no answer
                raise Forbidden
        return await call_next(context)

    return call_next if policy is PUBLIC and not rules else check


def _check_fields(message: Message[Any], grant: Grant) -> None:
    named = sorted(message.named_fields())
    refused = [(source, path) for source, path in named if grant.refuses(source, path)]
    if refused:
        raise Forbidden(
            "Your role may not use some of these fields.",
            errors=tuple(
                FieldError(path, "field_forbidden", f"not allowed in {_WHERE[source]}")
                for source, path in refused
            ),
        )


def conditional(message: type[Message[Any]], call_next: Next) -> Next:
    """Refuse ``If-None-Match: *`` after a handler that did not do so itself.

    Most handlers check preconditions before they change anything; this step is for resources
    without an entity tag. The transaction is rolled back.
    """

    async def check(context: Context) -> Any:
        result = await call_next(context)
        if not context.is_nested and not isinstance(result, Refusal):
            context.origin.preconditions.check_absence()
        return result

    return check if issubclass(message, Command) else call_next


_WHERE = {Source.JSON: "the body", Source.QUERY: "the query"}


def prepare_with(registry: Registry, providers: dict[Any, Any]) -> Step:
    """The step that runs a command's ``@prepares`` function before a connection is taken."""

    def prepare(message: type[Message[Any]], call_next: Next) -> Next:
        function = registry.preparers.get(message)
        if function is None:
            return call_next
        preparer = registry.bind(message, function, providers)

        async def run(context: Context) -> Any:
            context.prepared = await preparer.call(context)
            return await call_next(context)

        return run

    return prepare
