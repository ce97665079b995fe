"""The pipeline steps that answer queries from the cache and invalidate it after a commit."""

import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter

from backstay.core.bus import Next
from backstay.core.caching import Tag, TagContext
from backstay.core.context import CacheTags, Context
from backstay.core.errors import Refusal
from backstay.core.messages import Command, Message
from backstay.core.permissions import Scope
from backstay.core.ports import Cache
from backstay.core.representation import Representation


@dataclass(slots=True)
class RenderedContext(Context):
    """The context of a sender, such as the HTTP edge, that passes rendered answers on.

    For a query that is cached, or a list that needs no views, its result is the
    :class:`Representation`, not the view.
    ``admission``, which may still be running, raises when the sender exceeds a rate limit; it is
    awaited before a cached answer is returned or one is loaded.
    """

    admission: Awaitable[None] | None = None

    @property
    def renders(self) -> bool:
        return True


class QueryCache:
    """The two pipeline steps of one cache.

    ``ttl`` (seconds) is for queries that declare none; 0 switches the cache off. ``version`` is
    that of the code: code of another version never reads these entries.
    """

    def __init__(self, cache: Cache, ttl: int, version: str) -> None:
        self._cache = cache
        self._ttl = ttl
        self._version = version

    def answer(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The step of a query, after it is authorised: answer from the cache, else fill it.

        Inside a transaction the cache is neither read nor written. Errors are never cached.
        """
        declared = message.declared_cache()
        if declared is None or not self._ttl or declared.ttl == 0:
            return call_next
        cache, ttl = self._cache, declared.ttl or self._ttl
        key_of = _keys(message, self._version, shared=declared.shared)
        tags_of = _resolver(declared.tags or (message.__name__,))
        result_type = _adapter(message.result_type())

        async def run(context: Context) -> Any:
            if context.unit_of_work is not None:
                return await call_next(context)

            async def load() -> bytes:
                context.shared_result = True
                result = await call_next(context)
                if isinstance(result, Refusal):
                    raise result.error
                return Representation.of(result).pack()

            key, tags = key_of(context), tuple(tags_of(context))
            found = await cache.get(key, tags=tags)
            rendered = context if isinstance(context, RenderedContext) else None
            if rendered is not None and rendered.admission is not None:
                await rendered.admission
            if found is None:
                found = await cache.remember(key, load, ttl=ttl, tags=tags)
            kept = Representation.unpack(found)
            return kept if rendered else result_type.validate_json(kept.body)

        return run

    def outdate(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The step of a command, inside its transaction: invalidate its tags after the commit."""
        if not issubclass(message, Command):
            return call_next
        resolve = _resolver(message.touches)

        async def run(context: Context) -> Any:
            async def forget() -> None:
                await self._forget(context.unit.tags)

            context.unit.tags.touch(*resolve(context))
            context.unit.after_commit.append(forget)
            return await call_next(context)

        return run

    async def _forget(self, touched: CacheTags) -> None:
        """Invalidate once, even if several commands of one transaction registered this."""
        tags, keys, patterns = touched.take()
        if tags:
            await self._cache.delete_tags(*tags)
        if keys:
            await self._cache.delete(*keys)
        for pattern in patterns:
            await self._cache.delete_matching(pattern)


def _resolver(tags: tuple[Tag, ...]) -> Callable[[TagContext], Iterator[str]]:
    """The function that computes the tags of a context."""

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


@functools.cache
def _adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


@functools.cache
def _shape(result: Any) -> str:
    """The JSON Schema of an answer, so that a changed view changes the keys."""
    return json.dumps(_adapter(result).json_schema(mode="serialization"), sort_keys=True)


def _keys(message: type[Message[Any]], version: str, *, shared: bool) -> Callable[[Context], str]:
    """The function that makes the cache key of a context from all that its answer depends on."""
    said = json.dumps(
        [version, message.__module__, message.__qualname__, _shape(message.result_type())]
    )
    prefix = f"{message.__name__}:{blake2b(said.encode(), digest_size=8).hexdigest()}:"
    to_json = message.__pydantic_serializer__.to_json

    def key_of(context: Context) -> str:
        asked = blake2b(to_json(context.message), digest_size=16)
        for_anybody = shared and context.grant.scope is Scope.ANY
        asked.update(b"anybody" if for_anybody else context.principal.digest)
        return prefix + asked.hexdigest()

    return key_of
