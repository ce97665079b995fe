"""The ``Link`` header of lists (RFC 8288); the body carries the same."""

from functools import lru_cache

from starlette.datastructures import URL
from starlette.types import Scope

from backstay.core.representation import Links

LONGEST = 1000
"""Characters of a query; up to four links repeat it."""


def link_header(scope: Scope, links: Links) -> dict[str, str]:
    """``Link`` with relative references to the neighbouring pages, or nothing.

    Nor is there one for a query so long that a proxy might refuse the header.
    """
    query = scope["query_string"].decode("latin-1")
    if len(query) > LONGEST:
        return {}
    text = _link(scope["path"], query, tuple(links.items()))
    return {"Link": text} if text else {}


@lru_cache(1024)
def _link(path: str, query: str, links: tuple[tuple[str, int | str], ...]) -> str:
    url = URL(path=path, query=query)
    targets = (
        (relation, url.include_query_params(page=target))
        if isinstance(target, int)
        else (relation, url.include_query_params(cursor=target))
        for relation, target in links
    )
    return ", ".join(f'<{_relative(target)}>; rel="{relation}"' for relation, target in targets)


def _relative(url: URL) -> str:
    return f"{url.path}?{url.query}" if url.query else url.path
