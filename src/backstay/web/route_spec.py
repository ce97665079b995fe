"""Defines one row in the table of routes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypedDict

from pydantic import BaseModel
from starlette.responses import Response

from backstay.core.messages import Command, Message
from backstay.core.wiring import Place
from backstay.limits.classes import GENERAL, LimitClass
from backstay.web.request import JSON

BEARER = "bearer"
"""The name of the security scheme of routes that are not public: an access token."""
Endpoint = Callable[..., Awaitable[Response]]


class UploadRule(NamedTuple):
    """What a row that takes an upload accepts; ``max_bytes`` is of the file."""

    media_types: tuple[str, ...]
    max_bytes: int


FORM_BYTES = 16_384
"""How many bytes a form may have besides the file in it."""


class CommonOptions(TypedDict, total=False):
    """The options of every row; :class:`RouteSpec` explains each."""

    limit: LimitClass | None
    name: str
    essential: bool
    refuses: tuple[int, ...]
    path_names: dict[str, str]


class RouteOptions(CommonOptions, total=False):
    """The options of a row of one method; :class:`RouteSpec` explains each."""

    status: int
    location: str | None
    endpoint: Endpoint | None
    bodies: Mapping[str, type[BaseModel]]
    credentials: Mapping[str, Mapping[str, Any] | None]
    cookies: Mapping[str, str]
    sets_cookies: bool
    unwell: int | None
    is_page: bool
    max_body_bytes: int | None
    grants_tokens: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class RouteSpec:
    """One row: a method and path of the API, and the message that a request to it sends.

    Attributes:
        limit: the limit class under which requests are counted; None if they are not counted.
        status: the status of a success that has a result; 204 if there is none.
        location: template for the ``Location`` of the created resource, filled from the result.
        endpoint: a custom endpoint instead of the standard one, for a route that must handle HTTP
            itself.
        name: the operation id; by default the message's name in snake case.
        essential: whether its requests are served even while a worker is overloaded, because they
            lessen the load or are needed in an emergency.
        bodies: by media type, the body that a custom endpoint reads.
        credentials: the optional credentials of a public route: OpenAPI security schemes by name,
            None for one that another route describes.
        cookies: the cookies that are read, by name, with their description.
        sets_cookies: whether a response sets or clears cookies.
        unwell: the error status of a response that still carries the result, such as a failed
            health check.
        refuses: further error statuses for the description of the API.
        is_page: whether it is an HTML page, which the description of the API leaves out.
        max_body_bytes: the most bytes of the body; by default that of the limit class.
        grants_tokens: whether a form sent here is an OAuth2 token request (RFC 6749).
        path_names: by path parameter, the message's field, where their names differ.
        streams: the media type of the stream that is sent; None where none is.
        filename: the name under which clients save the stream.
        render: makes the HTML page that is sent of the result; None where it is sent as JSON.
        upload: what the upload may be that the message has; None where it has none.
        place: the file and line of the row.
    """

    method: str
    path: str
    message: type[Message[Any]]
    tag: str
    versioned: bool
    limit: LimitClass | None = GENERAL
    essential: bool = False
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
    streams: str | None = None
    filename: str = ""
    upload: UploadRule | None = None
    render: Callable[[Any], Response] | None = None
    place: Place

    @cached_property
    def body_bytes(self) -> int | None:
        """The most bytes of the body, if this route allows fewer than the application."""
        return self.max_body_bytes or (self.limit.body_bytes if self.limit else None)

    @property
    def sends_view(self) -> bool:
        """Whether a success is the view itself, neither a stream nor a page."""
        return self.streams is None and self.render is None

    @cached_property
    def upload_bytes(self) -> int | None:
        """The most bytes of a body with an upload, the form around it included."""
        return self.upload and self.upload.max_bytes + FORM_BYTES

    @cached_property
    def media_types(self) -> tuple[str, ...]:
        """The media types of the body."""
        return tuple(self.bodies) or (JSON,)

    @cached_property
    def takes_key(self) -> bool:
        """Whether the route honours an ``Idempotency-Key``; other routes ignore it."""
        is_standard = self.endpoint is None and self.method == "POST"
        return is_standard and issubclass(self.message, Command) and self.message.takes_key()

    @property
    def operation_id(self) -> str:
        """The operation id, which is the name of the function in generated clients."""
        name = self.message.__name__
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name)
        return self.name or snake.lstrip("_")
