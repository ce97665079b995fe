"""Messages: the commands and queries that the application accepts, each with its own policy."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from backstay.core.caching import Cached, Tag, tag_flaws
from backstay.core.jobs import DEFAULT_QUEUE
from backstay.core.masking import masked_fields
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY, Policy, Source
from backstay.core.principal import Principal
from backstay.core.wiring import Code, Flaw

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


FromPath = Annotated[T, Source.PATH]
"""The type of a field that a request gives in its path: ``id: FromPath[UUID]``."""
FromQuery = Annotated[T, Source.QUERY]
"""The type of a field of a command that a request gives in its query: ``hard: FromQuery[bool]``."""


Rule = Callable[[Principal, Any], bool]


class Message(BaseModel, Generic[R_co]):
    """A frozen request for a result of the type it is declared with.

    The class body of every concrete message must set ``permission`` itself: an inherited policy
    does not count, and the application does not start without one. ``rules`` are predicates on the
    principal and the message; they run after the check of the grant. Of a message that
    ``replaces`` a whole resource, field rules apply to every field of the body, even if it was
    left out. ``body_values`` is how many values and names a body may hold, at all depths together.
    The reads of a query that ``takes_long``, such as an export, have the timeout of a command.

    ``fresh`` is how old the sender's proof of who they are may be (``fresh = minutes(5)``). What is
    ``in_person``, as everything ``fresh`` is, is refused to whoever impersonates the account.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        ignored_types=(object,),  # `flaws` tells of attributes that pydantic would not take
    )

    permission: ClassVar[Policy] = SYSTEM_ONLY
    rules: ClassVar[tuple[Rule, ...]] = ()
    replaces: ClassVar[bool] = False
    body_values: ClassVar[int] = 10_000
    takes_long: ClassVar[bool] = False
    fresh: ClassVar[timedelta | None] = None
    in_person: ClassVar[bool] = False
    default_source: ClassVar[Source]

    @model_validator(mode="after")
    def _storable(self) -> Self:
        """Refuse NUL, the one character that PostgreSQL cannot store, on SQLite as well."""
        for name, value in self.__dict__.items():
            if _has_nul(value):
                raise PydanticCustomError(
                    "nul", "Text must not contain the character NUL", {"field": name}
                )
        return self

    @classmethod
    def sources(cls) -> Mapping[str, Source]:
        """Where each field comes from in an HTTP request, by its name."""
        return _sources(cls)

    if TYPE_CHECKING:

        @classmethod
        def _asking(cls) -> tuple[Self, R_co]:
            """Its own type and that of its result, by which a checker judges its handler."""
            raise NotImplementedError

    @classmethod
    def result_type(cls) -> Any:
        """The result that the class is declared with: ``ItemDetail`` for ``Command[ItemDetail]``.

        Raises:
            TypeError: the class declares no result.
        """
        return argument_of(cls, Command, Query)

    @classmethod
    def declared_cache(cls) -> Cached | None:
        """The ``cache`` that a query sets in its own class body, or None."""
        declared = cls.__dict__.get("cache")
        return declared if isinstance(declared, Cached) else None

    @classmethod
    def flaws(cls) -> Iterator[Flaw]:
        """The wiring faults of the declaration, apart from those of its policy and rules."""
        reserved = {name for base in cls.__mro__ if base.__module__ in _OURS for name in vars(base)}
        yield from _stray_flaws(cls, reserved)
        yield from _fresh_flaws(cls)
        for name, field in cls.model_fields.items():
            if name in reserved:
                problem = f"The field `{name}` of {cls.__name__} hides what every message has."
                yield Flaw(Code.MESSAGE_FIELD_RESERVED, problem, "Give it another name.")
            if any(_names_source(inner) for inner in get_args(field.annotation)):
                problem = f"The source of the field `{name}` of {cls.__name__} would be lost."
                hint = "Write FromQuery[int | None], not FromQuery[int] | None."
                yield Flaw(Code.MESSAGE_SOURCE_LOST, problem, hint)

    def named_fields(self) -> set[tuple[Source, str]]:
        """Every field that the sender named, for field rules.

        Nested fields are named by path (``address.city``). An object without fields, or null in
        place of an object, is named itself.
        """
        sources = self.sources()
        paths = set(_named(self))
        if self.replaces:
            paths |= {name for name, source in sources.items() if source is Source.JSON}
        return {
            (sources[path.partition(".")[0]], path)
            for path in paths
            if sources[path.partition(".")[0]] is not Source.PATH
        }

    def changes(self) -> dict[str, Any]:
        """The body fields that were sent, for partial updates (RFC 7396: absent is not null)."""
        sources = self.sources()
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name in self.model_fields_set and sources[name] is Source.JSON
        }


class Command(Message[R_co]):
    """A message that changes something, in one transaction.

    ``touches`` are the tags of the cached answers that it invalidates. A command that is not
    ``replayable`` ignores an ``Idempotency-Key``, because its answer must not be stored. As a job
    it waits in ``job_queue``, and an attempt fails after ``job_timeout`` seconds. One that is
    ``allowed_in_maintenance`` is carried out while maintenance refuses the others.
    """

    allowed_in_maintenance: ClassVar[bool] = False
    job_timeout: ClassVar[float] = 3600.0
    replayable: ClassVar[bool] = True
    default_source: ClassVar[Source] = Source.JSON
    touches: ClassVar[tuple[Tag, ...]] = ()
    job_queue: ClassVar[str] = DEFAULT_QUEUE

    @classmethod
    def flaws(cls) -> Iterator[Flaw]:
        yield from super().flaws()
        says = f"`touches` of {cls.__name__} names"
        yield from tag_flaws(Code.MESSAGE_TOUCHES, says, cls.touches, cls.model_fields)

    @classmethod
    def takes_key(cls) -> bool:
        """Whether the answer is stored when a signed-in user sends an ``Idempotency-Key``."""
        return cls.replayable and cls.permission is not PUBLIC


class Query(Message[R_co]):
    """A message that reads and changes nothing.

    Its answers are cached if its own class body sets ``cache``; an inherited one does not count.
    """

    default_source: ClassVar[Source] = Source.QUERY
    cache: ClassVar[Cached | None] = None

    @classmethod
    def flaws(cls) -> Iterator[Flaw]:
        yield from super().flaws()
        cache, name = cls.__dict__.get("cache"), cls.__name__
        if cache is None:
            return
        if not isinstance(cache, Cached):
            problem = f"`cache` of {name} is {cache!r}."
            yield Flaw(Code.MESSAGE_CACHE, problem, "Write `cache = Cached(...)`.")
            return
        says = f"The tags of `cache` of {name} name"
        yield from tag_flaws(Code.MESSAGE_CACHE, says, cache.tags, cls.model_fields)
        excluded = [name for name, field in cls.model_fields.items() if field.exclude]
        for field in (*excluded, *masked_fields(cls)):
            problem = f"The answer of {name} cannot be kept: `{field}` cannot be part of a key."
            yield Flaw(Code.MESSAGE_CACHE, problem, "Remove `cache`.")
        try:
            result = cls.result_type()
        except TypeError:
            return  # reported as a fault of the message itself
        if not all(_is_view(option) for option in get_args(result) or (result,)):
            problem = f"The answer of {name} cannot be kept: it is no view, or may be None."
            yield Flaw(Code.MESSAGE_CACHE, problem, "Remove `cache`, or answer with a view.")


def argument_of(model: type[BaseModel], *generics: type[BaseModel]) -> Any:
    """The type argument of the generic model, one of ``generics``, that a model derives from.

    Raises:
        TypeError: it derives from none of them, or gives no type argument.
    """
    for base in model.__mro__:
        described = getattr(base, "__pydantic_generic_metadata__", {})
        if described.get("origin") in generics:
            return described["args"][0]
    names = " or ".join(generic.__name__ for generic in generics)
    raise TypeError(f"{model.__name__} names no result: derive from {names} with one in brackets")


class View(BaseModel):
    """The base of every result that is sent to clients: an immutable representation."""

    model_config = ConfigDict(
        frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True
    )


def optional() -> Any:
    """The default of a field that a partial update may leave out but never set to null."""
    return Field(default_factory=lambda: None)


_OURS = frozenset({__name__, "backstay.core.listing"})
"""The modules of the base classes of messages; a field may not hide a name that these have."""


def _stray_flaws(message: type[Message[Any]], known: set[str]) -> Iterator[Flaw]:
    """Attributes without a type that no message has, such as a misspelt ``permission``."""
    own, annotated = vars(message), vars(message).get("__annotations__", {})
    for name, value in own.items():
        is_known = name in known or name in annotated or name in message.model_fields
        if name.startswith("_") or is_known or callable(value) or hasattr(value, "__get__"):
            continue
        problem = f"`{name}` of {message.__name__} is neither a field nor what messages have."
        near = get_close_matches(name, {each for each in known if each[0] != "_"}, n=1)
        hint = f"Write `{near[0]}`." if near else _typed(name, value)
        yield Flaw(Code.MESSAGE_ATTRIBUTE, problem, hint)


def _fresh_flaws(message: type[Message[Any]]) -> Iterator[Flaw]:
    fresh: Any = message.fresh
    if fresh is None:
        return
    if not isinstance(fresh, timedelta) or fresh < timedelta(seconds=1):
        problem = f"`fresh` of {message.__name__} is {fresh!r}."
        yield Flaw(Code.MESSAGE_FRESH, problem, "Write `fresh = minutes(5)`.")
    if message.permission in {PUBLIC, SYSTEM_ONLY}:
        problem = f"{message.__name__} asks for a fresh proof, but nobody signs in to send it."
        yield Flaw(Code.MESSAGE_FRESH, problem, "Remove `fresh`, or give it another permission.")


def _typed(name: str, value: Any) -> str:
    kind = type(value).__name__
    return f"Write `{name}: ClassVar[{kind}]` for a constant, `{name}: {kind}` for a field."


def _is_view(result: Any) -> bool:
    return isinstance(result, type) and issubclass(result, View)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, BaseModel):
        return _has_nul(value.__dict__)
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(inner) for key, inner in value.items())
    return isinstance(value, (list, tuple, set, frozenset)) and any(map(_has_nul, value))


def _names_source(annotation: Any) -> bool:
    return any(isinstance(mark, Source) for mark in getattr(annotation, "__metadata__", ()))


def _named(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            inside = set(_named(getattr(value, name), f"{prefix}{name}."))
            yield from inside or {prefix + name}
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _named(item, prefix)


@cache
def _sources(message: type[Message[Any]]) -> Mapping[str, Source]:
    return {
        name: next((m for m in field.metadata if isinstance(m, Source)), message.default_source)
        for name, field in message.model_fields.items()
    }
