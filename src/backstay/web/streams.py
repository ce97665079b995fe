"""Sends the stream of a query, as long as its client listens and its caller may ask for it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from mimetypes import guess_extension
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backstay.core.background import in_background
from backstay.core.bus import reauthorize
from backstay.core.context import Context
from backstay.core.messages import Message
from backstay.core.streams import Stream, row_of
from backstay.web.route_spec import RouteSpec
from backstay.web.rows import ENDINGS, FORMATS
from backstay.web.state import EdgeState, edge_of, sender_of


async def answer_stream(
    request: Request, spec: RouteSpec, message: Message[Any], prefix: str
) -> Response:
    """Send a query on behalf of the request; the response sends the stream that it answers."""
    sender = sender_of(request)
    context = Context(message, sender.principal, sender.origin, sender)
    stream: Stream[Any] = await sender.send(context)
    return StreamResponse(
        stream,
        context,
        edge_of(request),
        row=row_of(spec.message.result_type()),
        media_type=spec.streams or "",
        filename=stream.filename or filename_of(spec),
        status=spec.status,
    )


TAKE_SECONDS = 60.0
"""How long a client may take nothing; then the connection is closed."""


class StreamResponse(Response):
    """A response whose body is made while it is sent.

    The first piece is made before the head is sent, so that an error becomes an error response. If
    a later piece fails, or the caller may no longer send the query, or the client takes nothing for
    ``TAKE_SECONDS``, the body stays without its end: the server closes the connection, and the
    client sees that the transfer is broken. ``row`` is the view of each row, or ``bytes``.
    """

    def __init__(
        self,
        stream: Stream[Any],
        context: Context,
        edge: EdgeState,
        *,
        row: Any,
        media_type: str,
        filename: str,
        status: int = 200,
    ) -> None:
        headers = {"Content-Disposition": attachment(filename)}
        super().__init__(status_code=status, headers=headers, media_type=media_type)
        del self.headers["Content-Length"]  # the base class knows only bodies that are made
        self._pieces = stream.pieces
        self._edge = edge
        self._context = context
        self._rows = None if row is bytes else FORMATS[media_type](row)
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = in_background(self._send(scope, send))
        departure = in_background(_departure(receive))
        try:
            await asyncio.wait((work, departure), return_when=asyncio.FIRST_COMPLETED)
        finally:
            departure.cancel()
            work.cancel()
            await asyncio.wait((work,))
        if not work.cancelled():
            work.result()
        elif not self._has_started:
            raise ClientDisconnect

    async def _send(self, scope: Scope, send: Send) -> None:
        body = self._body()
        try:
            piece = await anext(body, None)
            self._has_started = True
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            while piece is not None and scope["method"] != "HEAD":
                async with _take_timeout():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # servers take pieces for a client that left without waiting
                piece = await anext(body, None)
            await send({"type": "http.response.body"})
        finally:
            await body.aclose()

    async def _body(self) -> AsyncGenerator[bytes, None]:
        render: Callable[[Any], bytes] = self._rows.render if self._rows else bytes
        try:
            is_first = True
            while (piece := await anext(self._pieces, None)) is not None:
                head = self._rows.head if self._rows and is_first else b""
                yield head + render(piece)
                is_first = False
                await self._check()
        finally:
            close = getattr(self._pieces, "aclose", None)
            if close is not None:
                await close()

    async def _check(self) -> None:
        """Refuse to go on once the session has ended, or its grant is gone or narrower."""
        context = self._context
        principal = await self._edge.refresh(context.principal)
        if principal is not context.principal:
            await reauthorize(context, principal)


@asynccontextmanager
async def _take_timeout() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TAKE_SECONDS):
            yield
    except TimeoutError as error:
        raise ClientDisconnect from error


async def _departure(receive: Receive) -> None:
    """Wait until the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def filename_of(spec: RouteSpec) -> str:
    """The name under which clients save a stream: that of the route, or the end of its path."""
    last = spec.path.rpartition("/")[2]
    if "." in last and "{" not in last:
        return spec.filename or last
    ending = {kind: end for end, kind in ENDINGS.items()}.get(spec.streams or "")
    return spec.filename or spec.operation_id + (
        ending or guess_extension(spec.streams or "") or ""
    )


def attachment(name: str) -> str:
    """The ``Content-Disposition`` of a download (RFC 6266; other letters as in RFC 8187)."""
    quoted = quote(name, safe="!#$&+-.^_`|~ ")
    if quoted == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
