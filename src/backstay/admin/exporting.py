"""Exports a list as a stream: page after page of the same query, with the rights of the moment."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.responses import Response

from backstay.admin.sending import Call
from backstay.admin.tables import asked_of
from backstay.admin.visits import Visit
from backstay.core.context import Context, Sender
from backstay.core.errors import NotFound
from backstay.core.listing import MAX_ROWS, CursorPage
from backstay.core.messages import Message, View
from backstay.core.streams import Stream
from backstay.web.rows import CSV, JSON_LINES
from backstay.web.state import edge_of, sender_of
from backstay.web.streams import StreamResponse

_KINDS = {"csv": CSV, "jsonl": JSON_LINES}
"""By the parameter ``as``: the media type."""


async def export(visit: Visit) -> Response:
    """All rows of a list with the filters of the address, as CSV or lines of JSON."""
    operation = visit.catalog.reads.get(visit.request.path_params["operation"])
    given = visit.given
    kind = given.pop("as", "csv")
    if operation is None or operation.listing is None or kind not in _KINDS:
        raise NotFound("The console has no such export.")
    path = {name: given.pop(name, "") for name in operation.parameters}
    query = [*asked_of(operation.listing, given).items(), ("limit", str(MAX_ROWS))]
    call = Call(operation, path, query)
    await call.count(visit.request)
    message = await call.message()
    sender = sender_of(visit.request)
    first = await sender(message)  # here a refusal becomes a page
    rows: Stream[View] = Stream(_pages(first, message, sender))
    context = Context(message, sender.principal, sender.origin, sender)
    return StreamResponse(
        rows,
        context,
        edge_of(visit.request),
        row=operation.view,
        media_type=_KINDS[kind],
        filename=f"{operation.path.rpartition('/')[2]}.{kind}",
    )


async def _pages(page: Any, message: Message[Any], sender: Sender) -> AsyncIterator[Sequence[View]]:
    """The rows of one page after the other; the first one is there even if it is empty."""
    while isinstance(page, CursorPage):
        yield page.items
        if page.next_cursor is None:
            return
        page = await sender(message.model_copy(update={"cursor": page.next_cursor}))
