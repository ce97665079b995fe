"""A feature's routes as a table: a row names a method and path, and the message they send.

Processes that serve no HTTP read these tables, too. FastAPI is therefore imported only when the
routes are built.
"""

from collections.abc import Callable, Iterator
from copy import copy
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from backstay.core.feature import Operation
from backstay.core.messages import Command, Message, Query
from backstay.core.streams import Stream
from backstay.core.wiring import Flaw, Place
from backstay.limits.classes import GENERAL
from backstay.web.route_flaws import OPTIONS, call_flaws, flaws_of, is_message
from backstay.web.route_spec import CommonOptions, RouteOptions, RouteSpec, UploadRule
from backstay.web.rows import ENDINGS

if TYPE_CHECKING:
    from starlette.responses import Response

    from backstay.web.dispatch import Route


R = TypeVar("R")


class Routes:
    """The routes of a feature, under ``{APP_ROOT_PATH}/v1`` unless ``versioned`` is False.

    ``tag`` is their group in the description of the API. ``about`` describes that group; one table
    of the group is enough to give it. ``options`` are attributes of :class:`RouteSpec`.
    """

    def __init__(self, prefix: str, *, tag: str, about: str = "", versioned: bool = True) -> None:
        self._prefix = prefix
        self.tag = tag
        self.about = about
        self._versioned = versioned
        self.place = Place.of_caller()
        self.specs: list[RouteSpec] = []
        self._faults: list[Flaw] = []

    def _add(self, method: str, path: Any, message: type[Message[Any]], **options: Any) -> None:
        place = Place.of_caller(__file__)
        flaws = call_flaws(method, self._prefix, path, options)
        self._faults += [flaw._replace(where=str(place)) for flaw in flaws]
        self.specs.append(
            RouteSpec(
                method=method,
                path=self._prefix + (path if isinstance(path, str) else ""),
                message=message,
                tag=self.tag,
                versioned=self._versioned,
                place=place,
                **{name: given for name, given in options.items() if name in OPTIONS},
            )
        )

    def get(self, path: str, message: type[Message[Any]], **options: Unpack[RouteOptions]) -> None:
        """Read: 200, or 304 if the client's representation is current."""
        self._add("GET", path, message, **options)

    def post(self, path: str, message: type[Message[Any]], **options: Unpack[RouteOptions]) -> None:
        """Create (201) if ``location`` gives the path of the new resource, else act (200)."""
        options.setdefault("status", 201 if "location" in options else 200)
        self._add("POST", path, message, **options)

    def put(self, path: str, message: type[Message[Any]], **options: Unpack[RouteOptions]) -> None:
        """Replace: 200 with the new representation."""
        self._add("PUT", path, message, **options)

    def patch(
        self, path: str, message: type[Message[Any]], **options: Unpack[RouteOptions]
    ) -> None:
        """Change the given fields: 200 with the new representation."""
        self._add("PATCH", path, message, **options)

    def delete(
        self, path: str, message: type[Message[Any]], **options: Unpack[RouteOptions]
    ) -> None:
        """Delete: 204."""
        options.setdefault("status", 204)
        self._add("DELETE", path, message, **options)

    def stream(
        self,
        path: str,
        message: type[Query[Stream[Any]]],
        *,
        media_type: str = "",
        filename: str = "",
        **options: Unpack[CommonOptions],
    ) -> None:
        """Read a stream by GET: 200 with a body that is made while it is sent.

        Rows become CSV or lines of JSON. By default the end of the path (``.csv``, ``.jsonl`` or
        ``.ndjson``) decides the media type, and its last segment is the name of the file.
        """
        media_type = media_type or ENDINGS.get(PurePosixPath(path).suffix, "")
        self._add("GET", path, message, streams=media_type, filename=filename, **options)

    def page(
        self,
        path: str,
        message: type[Query[R]],
        render: Callable[[R], "Response"],
        *,
        is_page: bool = False,
        **options: Unpack[CommonOptions],
    ) -> None:
        """Read an HTML page by GET: what ``render`` makes of the result.

        It uses ``page`` of :mod:`backstay.web.pages`. The description of the API leaves the page
        out if ``is_page``. Errors are problems, as on every route.
        """
        self._add("GET", path, message, render=render, is_page=is_page, **options)

    def upload(
        self,
        path: str,
        message: type[Command[Any]],
        *,
        media_types: tuple[str, ...],
        max_bytes: int,
        method: Literal["POST", "PUT"] = "POST",
        status: int | None = None,
        location: str | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        """Take a file: the field of the command that is an ``Upload``; the others are of the URL.

        The file is the body itself, of one of the ``media_types``, or the one field of a form
        (``multipart/form-data``). It may be larger than ``SERVER_MAX_BODY_BYTES`` allows other
        bodies to be. By default the status is 201 with ``location``, else 200.
        """
        status = status or (200 if location is None else 201)
        rule = UploadRule(media_types, max_bytes)
        self._add(method, path, message, upload=rule, status=status, location=location, **options)

    def build(self, root_path: str) -> "list[Route]":
        """The routes with their full paths, for an application to append."""
        from backstay.web.dispatch import route_of  # noqa: PLC0415

        return [copy(route_of(spec, self._under(root_path))) for spec in self.specs]

    def operations(self, root_path: str) -> Iterator[Operation]:
        """Each row as an operation: its message, method and full path."""
        for spec in filter(lambda each: is_message(each.message), self.specs):
            path = self._under(root_path) + spec.path
            by_tier = spec.limit is GENERAL
            name, place, has_endpoint = spec.operation_id, spec.place, spec.endpoint is not None
            yield Operation(
                spec.message, name, spec.method, path, by_tier, place, has_endpoint=has_endpoint
            )

    def faults(self) -> Iterator[Flaw]:
        """The faults of single rows."""
        yield from self._faults
        for spec in self.specs:
            yield from (flaw.of(spec) for flaw in flaws_of(spec))

    def _under(self, root_path: str) -> str:
        return f"{root_path}/v1" if self._versioned else ""
