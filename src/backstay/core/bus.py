"""The bus, and the steps of its pipelines that need no technology.

`composition/pipelines.py` has the order of all steps.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from backstay.core.context import Context
from backstay.core.errors import FieldError, Forbidden, Impersonated, Refusal, Unauthenticated
from backstay.core.messages import Command, Message, Rule
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY, PermissionSpec, Source
from backstay.core.principal import Grant, Principal
from backstay.core.registry import Function, HandlerSource, Provider, Registry
from backstay.core.signatures import hints_of
from backstay.core.tracing import NO_TRACER, Tracer

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
C = TypeVar("C", bound=Command[Any])
T = TypeVar("T")
P = ParamSpec("P")

Next = Callable[[Context], Awaitable[Any]]
Step = Callable[[type[Message[Any]], Next], Next]
"""A pipeline step, applied once per message type at boot. It returns the wrapped call, or
``call_next`` itself for a message that it does not concern: such a step costs nothing at runtime.
"""


class _Asking(Protocol[M_co, R_co]):
    """A class of messages, as far as the types of its handler depend on it."""

    def _asking(self) -> tuple[M_co, R_co]: ...


class _Handling(Protocol[M, R]):
    """Marks a handler; one that never returns a ``Refusal`` can be called without regard to it."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[M, P], Awaitable[R]], /
    ) -> Callable[Concatenate[M, P], Awaitable[R]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[M, P], Awaitable[R | Refusal]], /
    ) -> Callable[Concatenate[M, P], Awaitable[R | Refusal]]: ...


def handles(
    message: _Asking[M, R], *, instead_of: Function | HandlerSource | None = None
) -> _Handling[M, R]:
    """Declare an async function as the handler of a message.

    Its first parameter is the message; the others are injected by their type. With ``instead_of``
    it takes the place of a handler of another feature, or of a listing that is one.
    """

    def mark(function: Any, /) -> Any:
        vars(function)["__handles__"] = message
        if instead_of is not None:
            vars(function)["__instead_of__"] = instead_of
        return function

    return mark


def prepares(
    message: type[C],
) -> Callable[
    [Callable[Concatenate[C, P], Awaitable[T]]], Callable[Concatenate[C, P], Awaitable[T]]
]:
    """Declare an async function that runs before the transaction of a command is opened.

    It is for slow work and calls to other services (hashing, HTTP), during which no connection
    should be held. Its result is injected into the handler by type.
    """

    def mark(
        function: Callable[Concatenate[C, P], Awaitable[T]],
    ) -> Callable[Concatenate[C, P], Awaitable[T]]:
        vars(function)["__prepares__"] = message
        return function

    return mark


class Bus:
    """Finds the handler of a message, and runs the pipeline of its kind around it."""

    def __init__(self, registry: Registry, tracer: Tracer = NO_TRACER) -> None:
        self._registry = registry
        self._traced = partial(_traced, tracer) if tracer.records else _untraced
        self._routes: dict[type[Message[Any]], Next] = {}

    def route(
        self,
        kind: type[Message[Any]],
        pipeline: tuple[Step, ...],
        providers: Mapping[Any, Provider],
    ) -> None:
        """Accept one kind of message, commands or queries; the first step begins first."""
        for message, function in self._registry.handlers.items():
            if not issubclass(message, kind):
                continue
            known = dict(providers)
            preparer = self._registry.preparers.get(message)
            if preparer is not None:
                prepared = (hints_of(preparer) or {}).get("return")
                known[prepared] = lambda context: context.prepared
            handle = _calling(function, self._registry.provided(message, function, known))
            call = self._traced(function.__name__, handle)
            for step in reversed(pipeline):
                wrapped = step(message, call)
                call = call if wrapped is call else self._traced(step.__name__, wrapped)
            self._routes[message] = self._traced(message.__name__, call)

    @property
    def messages(self) -> Collection[type[Message[Any]]]:
        """Every message that can be sent."""
        return self._routes.keys()

    def prepare_with(self, providers: Mapping[Any, Provider]) -> Step:
        """The step that runs a command's ``@prepares`` function before a connection is taken."""

        def prepare(message: type[Message[Any]], call_next: Next) -> Next:
            function = self._registry.preparers.get(message)
            if function is None:
                return call_next
            call = _calling(function, self._registry.provided(message, function, providers))

            async def run(context: Context) -> Any:
                context.prepared = await call(context)
                return await call_next(context)

            return run

        return prepare

    async def send(self, context: Context) -> Any:
        """Run the pipeline of the context's message.

        Raises:
            AppError: the message was refused.
            LookupError: no feature handles it, for example because its feature is switched off.
        """
        route = self._routes.get(type(context.message))
        if route is None:
            raise LookupError(f"no feature of this application handles {type(context.message)!r}")
        result = await route(context)
        if isinstance(result, Refusal):
            raise result.error
        return result


def _traced(tracer: Tracer, name: str, call: Next) -> Next:
    is_tracing = tracer.is_tracing

    async def recorded(context: Context) -> Any:
        with tracer.span(name):
            return await call(context)

    def run(context: Context) -> Awaitable[Any]:
        return recorded(context) if is_tracing() else call(context)

    return run


def _untraced(_: str, call: Next) -> Next:
    return call


def _calling(function: Function, given: tuple[Provider, ...]) -> Next:
    """The call of a handler; its parameters are provided in their order, which async ones need."""
    if any(map(iscoroutinefunction, given)):
        return _awaiting(function, [(give, iscoroutinefunction(give)) for give in given])

    async def call(context: Context) -> Any:
        return await function(context.message, *[give(context) for give in given])

    return call


def _awaiting(function: Function, given: list[tuple[Provider, bool]]) -> Next:
    async def call(context: Context) -> Any:
        values = [await give(context) if is_async else give(context) for give, is_async in given]
        return await function(context.message, *values)

    return call


def authorize(message: type[Message[Any]], call_next: Next) -> Next:
    """Refuse what the principal may not send: by grant, field rules, then the message's rules."""
    policy, rules = message.permission, _rules_of(message)

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


def is_personal(message: type[Message[Any]]) -> bool:
    """Whether nobody may send a message for somebody else, as an impersonator would."""
    return message.in_person or message.fresh is not None


def _rules_of(message: type[Message[Any]]) -> tuple[Rule, ...]:
    return (_in_person, *message.rules) if is_personal(message) else message.rules


def _in_person(principal: Principal, _: Message[Any]) -> bool:
    """The rule of what is personal."""
    if principal.actor_id is not None:
        raise Impersonated
    return True


async def check_allowed(context: Context) -> None:
    """Authorise a message without sending it.

    Raises:
        AppError: the principal of the context may not send it.
    """
    await authorize(type(context.message), _nothing)(context)


async def reauthorize(context: Context, principal: Principal) -> None:
    """Authorise a message again whose answer is under way, as the principal is now.

    Raises:
        AppError: the principal may no longer send it, or not with the grant that it began with.
    """
    now = Context(context.message, principal, context.origin, context.sender)
    await check_allowed(now)
    if not now.grant.covers(context.grant):
        raise Forbidden("Your role has changed since this began: ask again.")


async def _nothing(_: Context) -> None:
    """Stands for the rest of the pipeline."""


_WHERE = {Source.JSON: "the body", Source.QUERY: "the query"}


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
