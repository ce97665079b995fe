"""How a query says that its answer may be kept, and a command which kept answers it outdates."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Any, Protocol

from backstay.core.principal import Grant, Principal
from backstay.core.wiring import Code, Flaw

MAX_STALENESS = 0.75
"""Seconds by which others' changes are seen even if no news come; own are seen at once."""


class TagContext(Protocol):
    """A message under way, as far as tags depend on it."""

    @property
    def message(self) -> Any:
        """What is sent."""
        ...

    @property
    def principal(self) -> Principal:
        """Who sends it."""
        ...

    @property
    def grant(self) -> Grant:
        """How far that may reach."""
        ...


Tag = str | Callable[[TagContext], Iterable[str]]
"""A name for what an answer shows. A text may name fields of its message, and ``{principal}``,
the id of who sends it: ``items:{id}``. Whatever else decides is a function of the context."""


@dataclass(frozen=True, slots=True)
class Cached:
    """Keep the answers of a query.

    Attributes:
        ttl: seconds, instead of ``CACHE_TTL_SECONDS``; 0 keeps none here, only at clients.
        tags: what the answer shows; whoever touches one of these tags outdates it.
        shared: everybody whose grant reaches any row gets the same answer. Otherwise each
            principal has answers of their own, as has whoever reaches own rows only.
        client: clients may keep it too: for ``CLIENT_CACHE_MAX_AGE``, or so many seconds. Nobody
            can tell them of a change meanwhile. What is public may be kept for others, too.
    """

    ttl: int | None = None
    tags: tuple[Tag, ...] = ()
    shared: bool = False
    client: bool | int = False


def declared_cache(message: type) -> Cached | None:
    """What a message says in its own class body about keeping its answers."""
    declared = message.__dict__.get("cache")
    return declared if isinstance(declared, Cached) else None


class CacheTags:
    """What a command outdates; it is forgotten after the commit, and never after a rollback."""

    __slots__ = ("keys", "patterns", "tags")

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.keys: set[str] = set()
        self.patterns: set[str] = set()

    def touch(self, *tags: str) -> None:
        """Whatever is kept under one of these tags changes."""
        self.tags.update(tags)

    def forget(self, *keys: str) -> None:
        """What code keeps under these keys changes."""
        self.keys.update(keys)

    def forget_matching(self, *patterns: str) -> None:
        """What code keeps under keys like these changes; see ``Cache.delete_matching``."""
        self.patterns.update(patterns)

    def take(self) -> tuple[set[str], set[str], set[str]]:
        """The tags, keys and patterns so far, of which nothing is left here."""
        taken = self.tags, self.keys, self.patterns
        self.tags, self.keys, self.patterns = set(), set(), set()
        return taken


def resolver(tags: tuple[Tag, ...]) -> Callable[[TagContext], Iterator[str]]:
    """What tells the tags of a message under way."""

    def resolve(context: TagContext) -> Iterator[str]:
        for tag in tags:
            if not isinstance(tag, str):
                yield from tag(context)
            elif "{" in tag:
                yield tag.format_map(
                    {**context.message.__dict__, "principal": context.principal.user_id}
                )
            else:
                yield tag

    return resolve


def tag_flaws(code: Code, says: str, tags: Any, fields: Iterable[str]) -> Iterator[Flaw]:
    """What is wrong with tags: a text would be as many as it has letters.

    ``says`` is the beginning of a sentence: who names them.
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
