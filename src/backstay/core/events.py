"""Events: what a feature publishes, delivered to other features in the order it happened."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from backstay.core.clock import new_id
from backstay.core.masking import secret_fields
from backstay.core.messages import Command

E = TypeVar("E", bound="Event")
Reaction = Callable[[E], Command[Any] | None]


class Event(BaseModel):
    """Something that has happened, named in the past tense: ``ItemCreated``.

    ``aggregate`` names the field whose value identifies the thing that it happened to: a subscriber
    gets the events about one thing one after the other. An event may be stored, so it must not
    hold a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    aggregate: ClassVar[str]

    event_id: UUID = Field(default_factory=new_id)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        named = getattr(cls, "aggregate", None)
        if named not in cls.model_fields:
            wrong = f"{cls.__name__}: `aggregate` must name one of its fields"
            raise TypeError(f'{wrong}: write `aggregate: ClassVar[str] = "order_id"`')
        for field in secret_fields(cls):
            raise TypeError(f"{cls.__name__}: `{field}` is a secret, events may be stored")


def subscribes(event: type[E]) -> Callable[[Reaction[E]], Reaction[E]]:
    """Declare a function that returns the command to send as the system, or None for nothing.

    The command becomes a job in the transaction that published the event: it is sent at least
    once, even if other subscribers fail. A function that fails is called again by a job.
    """

    def mark(react: Reaction[E]) -> Reaction[E]:
        react.__subscribes__ = event  # type: ignore[attr-defined]
        return react

    return mark


class Subscriptions:
    """The functions of an application that subscribe to events, by event and by name."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._of: dict[type[Event], list[tuple[str, Reaction[Any]]]] = {}
        self._named: dict[str, Callable[..., Any]] = {}
        for function in functions:
            event = getattr(function, "__subscribes__", None)
            if event is not None:
                name = f"{function.__module__}.{function.__qualname__}"
                self._named[name] = function
                self._of.setdefault(event, []).append((name, function))

    def of(self, event: Event) -> Sequence[tuple[str, Reaction[Any]]]:
        """The subscriptions to an event, those to its base classes included, with their names."""
        return [each for kind in type(event).__mro__ for each in self._of.get(kind, ())]

    async def committed(self, event: Event) -> None:
        """Nothing: for whoever notes events that were published, after their commit."""

    def answer(self, name: str, kind: str, event: dict[str, Any]) -> Command[Any] | None:
        """Pass a stored event to a subscription, and return its command, if any.

        Raises:
            KeyError: the subscription, or the kind of event, no longer exists.
            ValidationError: the stored event does not fit this version of its class.
        """
        react: Any = self._named[name]
        kinds = {each.__name__: each for each in with_derived(react.__subscribes__)}
        command: Command[Any] | None = react(kinds[kind].model_validate_json(to_json(event)))
        return command


def with_derived(event: type[Event]) -> Iterator[type[Event]]:
    """An event and every event that derives from it."""
    yield event
    for derived in event.__subclasses__():
        yield from with_derived(derived)
