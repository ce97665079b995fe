"""What a row in the table of routes says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from starlette.responses import Response

from backstay.core.messages import Command, Message
from backstay.core.wiring import Place
from backstay.web.conditional import JSON
from backstay.web.limits import Limit

Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, eq=False)
class RouteSpec:
    """One row: a method and path of the API and the message that is sent for it.

    Attributes:
        limit: the class under which requests are counted.
        status: of success, where there is a result.
        location: template of the ``Location`` of what was created, filled from the result.
        endpoint: replaces the standard one where HTTP itself matters.
        name: the operation id; the message's name unless given.
        refuses: statuses of refusal that the description would not name by itself.
        is_page: whether it shows people a page, which the description leaves out.
        max_body_bytes: how large the body may be; as the limit class says unless given.
        path_names: what the message calls a path parameter, where it is not its name.
        place: where the row is written.
    """

    method: str
    path: str
    message: type[Message[Any]]
    tag: str
    versioned: bool
    limit: Limit = Limit.GENERAL
    status: int = 200
    location: str | None = None
    endpoint: Endpoint | None = None
    openapi: dict[str, Any] = field(default_factory=dict)
    media_types: tuple[str, ...] = (JSON,)
    name: str = ""
    refuses: tuple[int, ...] = ()
    is_page: bool = False
    max_body_bytes: int | None = None
    path_names: dict[str, str] = field(default_factory=dict)
    place: Place

    @cached_property
    def body_bytes(self) -> int | None:
        """How large the body may be, where that is less than any may be."""
        return self.max_body_bytes or self.limit.body_bytes

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
