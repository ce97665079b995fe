"""The ``Link`` header of lists (RFC 8288); the body carries the same."""

from typing import Any

from starlette.datastructures import URL

from backstay.core.listing import CursorPage, Page


def link_header(url: URL, page: Page[Any] | CursorPage[Any]) -> dict[str, str]:
    """``Link`` with relative references to the neighbouring pages, or nothing."""
    if isinstance(page, CursorPage):
        cursors = {"next": page.next_cursor, "prev": page.prev_cursor}
        targets = {
            rel: url.include_query_params(cursor=cursor)
            for rel, cursor in cursors.items()
            if cursor is not None
        }
    else:
        numbers: dict[str, int | None] = {
            "first": 1,
            "prev": page.page - 1 if page.page > 1 else None,
            "next": page.page + 1 if page.has_more else None,
            "last": page.pages,
        }
        targets = {
            rel: url.include_query_params(page=number) for rel, number in numbers.items() if number
        }
    links = [f'<{_relative(target)}>; rel="{rel}"' for rel, target in targets.items()]
    return {"Link": ", ".join(links)} if links else {}


def _relative(url: URL) -> str:
    return f"{url.path}?{url.query}" if url.query else url.path
