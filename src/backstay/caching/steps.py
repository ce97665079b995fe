"""The pipeline steps that answer queries from what is kept, and outdate it after a commit."""

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter

from backstay.core.bus import Next
from backstay.core.caching import CacheTags, declared_cache, resolver
from backstay.core.context import Context
from backstay.core.errors import Refused
from backstay.core.messages import Command, Message
from backstay.core.permissions import Scope
from backstay.core.ports import Cache
from backstay.core.representation import Representation, represent


@dataclass(slots=True)
class RenderedContext(Context):
    """That of a sender who hands answers on as they are sent: where an answer is kept, its result
    is the :class:`Representation` that is kept instead of the view.

    ``admission``, which may be under way, tells whether the sender stays within a limit; it is
    awaited before anything is done for them.
    """

    admission: Awaitable[None] | None = None


class QueryCache:
    """The two steps around one cache.

    ``ttl`` is that of queries which do not say; 0 switches everything off. ``version`` is that
    of the code: another one never reads what this one has kept.
    """

    def __init__(self, cache: Cache, ttl: int, version: str) -> None:
        self._cache = cache
        self._ttl = ttl
        self._version = version

    def answer(self, message: type[Message[Any]], call_next: Next) -> Next:
        """Of a query, after it is authorised: answer with what is kept, else keep the answer.

        Inside a transaction nothing is kept nor believed. Errors are never kept.
        """
        declared = declared_cache(message)
        if declared is None or not self._ttl or declared.ttl == 0:
            return call_next
        cache, ttl = self._cache, declared.ttl or self._ttl
        key_of = _keys(message, self._version, shared=declared.shared)
        tags_of = resolver(declared.tags or (message.__name__,))
        result_type = _adapter(message.result_type())

        async def run(context: Context) -> Any:
            if context.unit_of_work is not None:
                return await call_next(context)

            async def load() -> bytes:
                context.shared_result = True
                result = await call_next(context)
                if isinstance(result, Refused):
                    raise result.error
                return represent(result).pack()

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
        """Of a command, inside its transaction: see that what it touches is forgotten after it."""
        resolve = resolver(message.touches) if issubclass(message, Command) else None
        if resolve is None:
            return call_next

        async def run(context: Context) -> Any:
            async def forget() -> None:
                await self._forget(context.unit.tags)

            context.unit.tags.touch(*resolve(context))
            context.unit.after_commit.append(forget)
            return await call_next(context)

        return run

    async def _forget(self, touched: CacheTags) -> None:
        """Once, however many commands of one transaction ask for it."""
        tags, keys, patterns = touched.take()
        if tags:
            await self._cache.delete_tags(*tags)
        if keys:
            await self._cache.delete(*keys)
        for pattern in patterns:
            await self._cache.delete_matching(pattern)


@functools.cache
def _adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


@functools.cache
def _shape(result: Any) -> str:
    """What an answer looks like."""
    return json.dumps(_adapter(result).json_schema(mode="serialization"), sort_keys=True)


def _keys(message: type[Message[Any]], version: str, *, shared: bool) -> Callable[[Context], str]:
    """What tells the key of a message under way: whatever its answer may depend on."""
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
