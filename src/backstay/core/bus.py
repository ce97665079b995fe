"""Finds the handler of a message and runs the pipeline around it."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, ParamSpec, TypeVar, get_type_hints

from backstay.core.context import ActivityNote, Context, Origin
from backstay.core.errors import Refused
from backstay.core.messages import Access, Command, Message, PermissionSpec
from backstay.core.principal import SYSTEM, Grant, Principal
from backstay.core.representation import Representation

R = TypeVar("R")
T = TypeVar("T")
P = ParamSpec("P")

Next = Callable[[Context], Awaitable[Any]]
Step = Callable[[type[Message[Any]], Next], Next]
"""A pipeline step, applied once per message type at boot: it returns the wrapped call, or
``call_next`` itself where it has nothing to do, so that what does not apply costs nothing."""

Provider = Callable[[Context], Any]


class BootError(Exception):
    """The application is wired wrongly and must not start; the text lists every fault."""


def handles(
    message: type[Message[R]],
) -> Callable[[Callable[P, Awaitable[R | Refused]]], Callable[P, Awaitable[R | Refused]]]:
    """Declare an async function as the handler of a message.

    Its first parameter is the message; the others are injected by their type.
    """

    def mark(function: Callable[P, Awaitable[R | Refused]]) -> Callable[P, Awaitable[R | Refused]]:
        function.__handles__ = message  # type: ignore[attr-defined]
        return function

    return mark


def prepares(
    message: type[Command[Any]],
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Declare an async function that runs before the transaction of a command is opened.

    For what is slow or outside (hashing, HTTP): no connection is held meanwhile. Its result is
    injected into the handler by type.
    """

    def mark(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        function.__prepares__ = message  # type: ignore[attr-defined]
        return function

    return mark


class Handler(NamedTuple):
    """A handler or preparer with the providers of its parameters."""

    function: Callable[..., Awaitable[Any]]
    providers: tuple[Provider, ...]

    async def call(self, context: Context) -> Any:
        return await self.function(context.message, *[give(context) for give in self.providers])


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of parameters and result, which are asked for several times at boot."""
    return get_type_hints(function)


@cache
def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function in order, by name; None for one that has no type."""
    hints = _hints(function)
    return {name: hints.get(name) for name in inspect.signature(function).parameters}


class Registry:
    """Every handler and preparer of an application, checked as a whole at boot."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self.faults: list[str] = []
        self.handlers: dict[type[Message[Any]], Callable[..., Any]] = {}
        self.preparers: dict[type[Message[Any]], Callable[..., Any]] = {}
        for function in functions:
            self._add(function, "__handles__", self.handlers)
            self._add(function, "__prepares__", self.preparers)

    def _add(
        self,
        function: Callable[..., Any],
        mark: str,
        into: dict[type[Message[Any]], Callable[..., Any]],
    ) -> None:
        message: type[Message[Any]] | None = getattr(function, mark, None)
        if message is None:
            return
        if message in into:
            verb = mark.strip("_")
            first, second = _name(into[message]), _name(function)
            self.faults.append(f"{message.__name__}: both {first} and {second} {verb[:-1]} it")
        into[message] = function
        if mark == "__prepares__" and not issubclass(message, Command):
            self.faults.append(f"{_name(function)}: only commands can be prepared")
        parameters = _parameters(function)
        if not parameters or next(iter(parameters.values())) is not message:
            self.faults.append(
                f"{_name(function)}: its first parameter must be the {message.__name__} it is for"
            )

    def check(self, messages: Iterable[type[Message[Any]]]) -> None:
        """Note every message that lacks a policy or a handler, or contradicts another.

        Those that have a handler are checked besides, wherever their class is.
        """
        specs: dict[str, PermissionSpec] = {}
        for message in dict.fromkeys((*messages, *self.handlers, *self.preparers)):
            policy = message.__dict__.get("permission")
            if not isinstance(policy, (PermissionSpec, Access)):
                self.faults.append(
                    f"{message.__name__}: declare `permission` in its own class body "
                    "(a PermissionSpec, SIGNED_IN, SYSTEM_ONLY or PUBLIC)"
                )
            elif (
                isinstance(policy, PermissionSpec)
                and specs.setdefault(policy.key, policy) != policy
            ):
                self.faults.append(f"{policy.key}: declared twice, differently")
            self.faults += [f"{message.__name__}: {fault}" for fault in message.faults()]
            if message not in self.handlers:
                self.faults.append(f"{message.__name__}: no handler")

    def bind(
        self,
        message: type[Message[Any]],
        function: Callable[..., Any],
        providers: Mapping[Any, Provider],
    ) -> Handler:
        """Resolve the parameters of a function by type, noting those that nobody provides.

        A message without a permission has no grant that its handler could judge by.
        """
        has_grant = isinstance(message.permission, PermissionSpec)
        chosen: list[Provider] = []
        for name, kind in list(_parameters(function).items())[1:]:
            provider = providers.get(kind) if kind is not Grant or has_grant else None
            if provider is None:
                self.faults.append(
                    f"{_name(function)}: nobody provides its parameter `{name}` of type {kind!r}"
                )
            else:
                chosen.append(provider)
        return Handler(function, tuple(chosen))


class Bus:
    """Sends one kind of message: commands or queries."""

    def __init__(
        self,
        kind: type[Message[Any]],
        registry: Registry,
        pipeline: tuple[Step, ...],
        providers: Mapping[Any, Provider],
    ) -> None:
        self._routes: dict[type[Message[Any]], Next] = {}
        for message, function in registry.handlers.items():
            if not issubclass(message, kind):
                continue
            known = dict(providers)
            preparer = registry.preparers.get(message)
            if preparer is not None:
                known[_hints(preparer).get("return")] = lambda context: context.prepared
            call: Next = registry.bind(message, function, known).call
            for step in reversed(pipeline):
                call = step(message, call)
            self._routes[message] = call

    async def send(self, context: Context) -> Any:
        """Run the pipeline of the context's message.

        Raises:
            AppError: the message was refused.
            LookupError: the message belongs to a feature that is switched off.
        """
        route = self._routes.get(type(context.message))
        if route is None:
            raise LookupError(f"no feature of this application handles {type(context.message)!r}")
        result = await route(context)
        if isinstance(result, Refused):
            raise result.error
        return result


class Buses(NamedTuple):
    """The two instances."""

    commands: Bus
    queries: Bus


class Sender:
    """Sends messages on behalf of one principal; the only way into the application.

    A handler that takes a ``Sender`` sends further messages inside its own transaction.
    """

    __slots__ = ("_buses", "origin", "parent", "principal")

    def __init__(
        self,
        buses: Buses,
        principal: Principal,
        origin: Origin | None = None,
        parent: Context | None = None,
    ) -> None:
        self._buses = buses
        self.principal = principal
        self.origin = origin or Origin()
        self.parent = parent

    async def __call__(self, message: Message[R]) -> R:
        """Send a message and return its result.

        Raises:
            AppError: the message was refused.
        """
        result: R = await self._send(self._context(message))
        return result

    async def for_the_edge(
        self, message: Message[R], admission: Awaitable[None] | None = None
    ) -> R | Representation:
        """Send a message; where its answer is kept, it is told as the bytes that are kept.

        Raises:
            AppError: the message was refused, or ``admission``, which was under way, was.
        """
        context = self._context(message)
        context.as_sent, context.admission = True, admission
        result: R | Representation = await self._send(context)
        return result

    def _context(self, message: Message[Any]) -> Context:
        if self.parent is None:
            return Context(message, self.principal, self.origin, self)
        return Context(
            *(message, self.principal, self.origin, self),
            unit_of_work=self.parent.unit_of_work,
            note=ActivityNote(self.parent.note),
            for_many=self.parent.for_many,
        )

    async def _send(self, context: Context) -> Any:
        is_command = isinstance(context.message, Command)
        return await (self._buses.commands if is_command else self._buses.queries).send(context)

    def inside(self, context: Context) -> "Sender":
        """A sender whose messages join the transaction of a message under way."""
        return Sender(self._buses, context.principal, context.origin, context)

    def as_system(self) -> "Sender":
        """A sender that asks as the application itself."""
        return Sender(self._buses, SYSTEM, self.origin, self.parent)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
