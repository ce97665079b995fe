"""How a query declares that its answers are cached, and by which tags they are invalidated."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Any, Protocol

from backstay.core.principal import Grant, Principal
from backstay.core.wiring import Code, Flaw

MAX_STALENESS = 0.75
"""Seconds after which a process sees changes of other processes, even if no notification arrives;
it sees its own at once."""


class TagContext(Protocol):
    """The part of a context that tags depend on."""

    @property
    def message(self) -> Any:
        """The message that is sent."""
        ...

    @property
    def principal(self) -> Principal:
        """The sender of the message."""
        ...

    @property
    def grant(self) -> Grant:
        """The sender's grant for the message."""
        ...


Tag = str | Callable[[TagContext], Iterable[str]]
"""A name for the data that an answer shows. A text may contain fields of its message, such as
``items:{id}``, and ``{principal}``, the id of the sender. For anything else a tag can be a function
of the context."""


@dataclass(frozen=True, slots=True)
class Cached:
    """Declares that the answers of a query are cached.

    Attributes:
        ttl: seconds, instead of ``CACHE_TTL_SECONDS``; with 0 only clients cache, not the server.
        tags: the data that the answer shows; a command that touches one of them invalidates it.
        shared: all principals whose grant reaches any row get the same answer. Otherwise, and for
            grants that reach own rows only, each principal has answers of its own.
        client: clients may cache it, too, for ``CLIENT_CACHE_MAX_AGE`` or this many seconds. They
            are not told of changes meanwhile. Shared caches may store the answer of a public query.
    """

    ttl: int | None = None
    tags: tuple[Tag, ...] = ()
    shared: bool = False
    client: bool | int = False


def tag_flaws(code: Code, says: str, tags: Any, fields: Iterable[str]) -> Iterator[Flaw]:
    """The wiring faults of declared tags; a plain text would count as one tag per letter.

    ``says`` is the beginning of the sentence in each fault.
    """
    if not isinstance(tags, tuple | list):
        yield Flaw(code, f"{says} no tuple of tags.", "Write `(tag,)`, with the comma.")
        return
    known = {*fields, "principal"}
    for tag in (tag for tag in tags if isinstance(tag, str)):
        for _, name, _, _ in Formatter().parse(tag):
            if name and name not in known:
                problem = f"{says} `{name}`, which is no field of it."
                yield Flaw(code, problem, "Name a field, or write a function of the context.")
