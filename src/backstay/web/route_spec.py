"""What a row in the table of routes says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from backstay.core.messages import Command, Message
from backstay.core.wiring import Place
from backstay.limits.classes import GENERAL, LimitClass
from backstay.web.conditional import JSON

BEARER = "bearer"
"""The security scheme of whatever is not public: an access token."""
Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, eq=False)
class RouteSpec:
    """One row: a method and path of the API and the message that is sent for it.

    Attributes:
        limit: the class under which requests are counted; None where they are not.
        status: of success, where there is a result.
        location: template of the ``Location`` of what was created, filled from the result.
        endpoint: replaces the standard one where HTTP itself matters.
        name: the operation id; the message's name unless given.
        bodies: what an endpoint of one's own reads, by media type.
        credentials: what a public route takes all the same: security schemes of OpenAPI by name,
            None for one that is told elsewhere.
        cookies: what is read of a browser besides, by name, and what for.
        sets_cookies: whether an answer sets or clears cookies.
        unwell: status of an answer that has the result as well, where that is no good news.
        refuses: statuses of refusal that the description would not name by itself.
        is_page: whether it shows people a page, which the description leaves out.
        max_body_bytes: how large the body may be; as the limit class says unless given.
        grants_tokens: whether a form that is sent here is a token request of OAuth2 (RFC 6749).
        path_names: what the message calls a path parameter, where it is not its name.
        place: where the row is written.
    """

    method: str
    path: str
    message: type[Message[Any]]
    tag: str
    versioned: bool
    limit: LimitClass | None = GENERAL
    status: int = 200
    location: str | None = None
    endpoint: Endpoint | None = None
    bodies: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    credentials: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    sets_cookies: bool = False
    unwell: int | None = None
    name: str = ""
    refuses: tuple[int, ...] = ()
    is_page: bool = False
    max_body_bytes: int | None = None
    grants_tokens: bool = False
    path_names: dict[str, str] = field(default_factory=dict)
    place: Place

    @cached_property
    def body_bytes(self) -> int | None:
        """How large the body may be, where that is less than any may be."""
        return self.max_body_bytes or (self.limit.body_bytes if self.limit else None)

    @property
    def media_types(self) -> tuple[str, ...]:
        """What a body may be."""
        return tuple(self.bodies) or (JSON,)

    @cached_property
    def takes_key(self) -> bool:
        """Whether an ``Idempotency-Key`` is honoured; everywhere else it is ignored."""
        is_standard = self.endpoint is None and self.method == "POST"
        return is_standard and issubclass(self.message, Command) and self.message.takes_key()

    @property
    def operation_id(self) -> str:
        """What generated clients call it."""
        name = self.message.__name__
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name)
        return self.name or snake.lstrip("_")
