"""The bus: finds the handler of a message and runs the pipeline around it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from backstay.core.context import Context
from backstay.core.errors import Refusal
from backstay.core.messages import Command, Message
from backstay.core.registry import Provider, Registry
from backstay.core.signatures import hints_of

R = TypeVar("R")
T = TypeVar("T")
P = ParamSpec("P")

Next = Callable[[Context], Awaitable[Any]]
Step = Callable[[type[Message[Any]], Next], Next]
"""A pipeline step, applied once per message type at boot. It returns the wrapped call, or
``call_next`` itself for a message that it does not concern: such a step costs nothing at runtime.
"""


def handles(
    message: type[Message[R]],
) -> Callable[[Callable[P, Awaitable[R | Refusal]]], Callable[P, Awaitable[R | Refusal]]]:
    """Declare an async function as the handler of a message.

    Its first parameter is the message; the others are injected by their type.
    """

    def mark(function: Callable[P, Awaitable[R | Refusal]]) -> Callable[P, Awaitable[R | Refusal]]:
        function.__handles__ = message  # type: ignore[attr-defined]
        return function

    return mark


def prepares(
    message: type[Command[Any]],
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Declare an async function that runs before the transaction of a command is opened.

    It is for slow work and calls to other services (hashing, HTTP), during which no connection
    should be held. Its result is injected into the handler by type.
    """

    def mark(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        function.__prepares__ = message  # type: ignore[attr-defined]
        return function

    return mark


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
                prepared = (hints_of(preparer) or {}).get("return")
                known[prepared] = lambda context: context.prepared
            call: Next = registry.bind(message, function, known).call
            for step in reversed(pipeline):
                call = step(message, call)
            self._routes[message] = call

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
