"""Sends a message as the API's route of it would: read, counted and carried out alike."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.types import Message as ASGIMessage

from backstay.admin.operations import Operation
from backstay.caching.steps import RenderedContext
from backstay.core.idempotency import IdempotencyKey, Replayed
from backstay.core.messages import Message
from backstay.core.representation import NO_PRECONDITIONS, Preconditions, Representation
from backstay.limits.classes import GENERAL
from backstay.web.request import JSON, too_large
from backstay.web.state import edge_of, sender_of

Pairs = list[tuple[str, str]]
"""The parameters of a query."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API would answer: the JSON, and its entity tag if it is one object."""

    data: Any
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the API, without its transport.

    ``key`` makes a command that is sent twice happen once; ``etag`` is that of ``If-Match``.
    """

    operation: Operation
    path: Mapping[str, str]
    query: Pairs
    body: dict[str, Any] | None = None
    etag: str | None = None
    key: str | None = None

    async def message(self) -> Message[Any]:
        """The message of the request, built as the route builds it.

        Raises:
            AppError: a part of the request is not valid, or larger than its route allows.
        """
        route = self.operation.route
        given = to_json(self.body) if route.parameters.has_body else b""
        most = route.spec.body_bytes
        if most is not None and len(given) > most:
            raise too_large(most)

        async def receive() -> ASGIMessage:
            return {"type": "http.request", "body": given, "more_body": False}

        scope = {
            "type": "http",
            "method": route.spec.method,
            "path": self.operation.path,
            "path_params": dict(self.path),
            "query_string": urlencode(self.query).encode(),
            "headers": [(b"content-type", JSON.encode())] if given else [],
        }
        return await route.parameters.read(Request(scope, receive))

    async def send(self, request: Request) -> Answer:
        """Send it as the person who is signed in, and return the answer.

        Raises:
            AppError: it was refused.
        """
        await self.count(request)
        message = await self.message()
        preconditions = NO_PRECONDITIONS if not self.etag else Preconditions((self.etag,))
        sender = sender_of(request, preconditions, self._key())
        context = RenderedContext(message, sender.principal, sender.origin, sender)
        return _answer(await sender.send(context))

    async def count(self, request: Request) -> None:
        """Count the request under the limit of its route.

        Raises:
            RateLimited: too many.
        """
        route, scope, limits = self.operation.route, request.scope, edge_of(request).limits
        if route.spec.limit is GENERAL:
            await limits.by_user(scope, scope["backstay.principal"], route.path_format)
        elif route.spec.limit is not None:
            await limits.by_address(scope, route.spec.limit)

    def _key(self) -> IdempotencyKey | None:
        if not self.key or not self.operation.route.spec.takes_key:
            return None
        said = json.dumps([self.query, self.body], sort_keys=True).encode()
        about = f"{self.operation.method} {self.operation.filled(self.path)}"
        return IdempotencyKey(f"console {self.key}", about, blake2b(said, digest_size=32).digest())


def _answer(result: Any) -> Answer:
    if result is None:
        return Answer(None)
    if isinstance(result, Replayed):
        return Answer(None if result.body is None else from_json(result.body))
    if isinstance(result, str):
        return Answer(result)
    rendered = Representation.of(result)
    return Answer(from_json(rendered.body), rendered.etag)
