"""The row that a message is about, as a parameter of its handler: ``order: Target[Order]``."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints

from backstay.core.context import Context
from backstay.core.messages import Message
from backstay.core.permissions import PUBLIC, SIGNED_IN, Source
from backstay.core.signatures import fits, parameters_of
from backstay.core.wiring import Code, Flaw, Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False)
class By:
    """How a message names the row: ``Annotated[Line, By("line_id", "order_id")]``.

    The first field has the id of the row, and each further one what the column of its name must
    hold, such as the id of the parent. Without fields it is the one id in the path or, if there is
    none in the path, the only id of the message. ``deleted`` tells whether deleted rows are found,
    too: always, or if the field of that name is true.
    """

    fields: tuple[str, ...]
    deleted: bool | str

    def __init__(self, *fields: str, deleted: bool | str = False) -> None:
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "deleted", deleted)


Target = Annotated[T, By()]
"""The row that the message is about, or 404: an entity is locked, a view is only read."""
AnyTarget = Annotated[T, By(deleted=True)]
"""The same; deleted rows are found, too."""


class Sought(NamedTuple):
    """A parameter of a handler that stands for a row.

    ``matches`` tells whether ``If-Match`` of the request is compared with this row;
    ``permissions`` are the keys of those that the application's messages declare.
    """

    name: str
    kind: Any
    by: By
    message: type[Message[Any]]
    matches: bool = False
    permissions: Set[str] = frozenset()


class Finder(ABC):
    """Finds the rows of some types, ``kinds``; every one that a module of a feature names is used.

    ``place`` is where it is declared.
    """

    place: Place
    kinds: tuple[type[Any], ...]

    @abstractmethod
    def own_flaws(self) -> Iterator[Flaw]:
        """What is wrong with the finder itself."""

    @abstractmethod
    def flaws(self, sought: Sought, providers: Mapping[Any, Any]) -> Iterator[Flaw]:
        """What keeps it from finding the row of a parameter."""

    @abstractmethod
    def locks(self, kind: Any) -> bool:
        """Whether rows of this type are locked, and so may be changed."""

    @abstractmethod
    def key_field(self, sought: Sought) -> str:
        """The field of the message that holds the id of the row; empty if that is not clear."""

    @abstractmethod
    def provider(self, sought: Sought, providers: Mapping[Any, Any]) -> Callable[[Context], Any]:
        """The async function that finds the row of each message."""


@cache
def sought_by(function: Callable[..., Any], message: type[Message[Any]]) -> dict[str, Sought]:
    """The parameters of a function that stand for rows, by name; the last mark of each counts."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception:  # whatever an annotation may raise; reported as `handler.unreadable`
        return {}
    return {
        name: Sought(name, parameters_of(function)[name], mark, message)
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, By) and name != "return"
    }


def matching(sought: Mapping[str, Sought], finders: Mapping[Any, Finder]) -> str | None:
    """The name of the parameter with whose row ``If-Match`` is compared.

    It is the last one that is locked and whose id is in the path, else the last that is locked.
    """
    locked = [s for s in sought.values() if s.kind in finders and finders[s.kind].locks(s.kind)]
    sources: list[str] = [
        each.name
        for each in locked
        if each.message.sources().get(finders[each.kind].key_field(each)) is Source.PATH
    ]
    names = sources or [each.name for each in locked]
    return names[-1] if names else None


def candidates(message: type[Message[Any]], key_type: type[Any]) -> list[str]:
    """The fields of a message that may be the id: those in the path, else any of that type."""
    ids = [name for name, field in message.model_fields.items() if field.annotation is key_type]
    sources = message.sources()
    return [name for name in ids if sources[name] is Source.PATH] or ids


def field_flaws(sought: Sought, key: str, types: Mapping[str, type[Any]]) -> Iterator[Flaw]:
    """What is wrong with the fields that name the row.

    ``types`` are the Python types of the entity's columns, and ``key`` is the column of the id.
    """
    message, kind = sought.message.__name__, sought.kind.__name__
    hint = f'Name it: `{sought.name}: Annotated[{kind}, By("field")]`.'
    found = sought.by.fields or candidates(sought.message, types[key])
    if len(found) != 1 and not sought.by.fields:
        which = ", ".join(f"`{name}`" for name in found)
        told = f"has several fields that may be its id ({which})" if found else "has no id of it"
        problem = f"`{sought.name}` is the {kind} that {message} is about, which {told}."
        yield Flaw(Code.TARGET_ID, problem, hint)
        return
    for column, name in zip((key, *found[1:]), found, strict=True):
        field = sought.message.model_fields.get(name)
        if field is None:
            problem = f"{message} has no field `{name}`, by which `{sought.name}` is to be found."
            yield Flaw(Code.TARGET_ID, problem, "Name a field of the message.")
        elif column not in types:
            problem = f"The field `{name}` of {message} has the name of no column of {kind}."
            yield Flaw(Code.TARGET_ID, problem, "Name only the id and fields that are columns.")
        elif not fits(field.annotation, types[column] | None):
            problem = f"The field `{name}` of {message} cannot be the `{column}` of {kind}."
            yield Flaw(Code.TARGET_ID, problem, f"Let it be of type {types[column].__name__}.")


def policy_flaws(sought: Sought) -> Iterator[Flaw]:
    """A message without a permission has no grant, so that any row of anybody would be found."""
    if sought.message.permission in {PUBLIC, SIGNED_IN}:
        message, kind = sought.message.__name__, sought.kind.__name__
        problem = f"`{sought.name}` would be the {kind} of anybody: {message} needs no permission."
        hint = "Let the message declare a permission, or find the row in the handler."
        yield Flaw(Code.TARGET_NO_PERMISSION, problem, hint)


def deletion_flaws(sought: Sought, *, hides: bool) -> Iterator[Flaw]:
    """What is wrong with asking for deleted rows; ``hides`` tells whether there are any."""
    deleted, kind = sought.by.deleted, sought.kind.__name__
    if deleted and not hides:
        problem = f"`{sought.name}` asks for deleted rows of {kind}, which has none."
        yield Flaw(Code.TARGET_DELETED, problem, "Derive it from SoftDelete, or write Target.")
    elif isinstance(deleted, str):
        field = sought.message.model_fields.get(deleted)
        if field is None or field.annotation is not bool:
            problem = f"{sought.message.__name__} has no field `{deleted}` that is true or false."
            hint = "Name a field of type bool, or write `deleted=True`."
            yield Flaw(Code.TARGET_DELETED, problem, hint)
