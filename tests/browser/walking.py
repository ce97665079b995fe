"""Walks through all pages that links lead to, and checks each."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from playwright.sync_api import Error

from tests.browser.visiting import Visitor, template_of


def walk(
    visitor: Visitor,
    start: str,
    *,
    within: str = "/",
    limit: int = 60,
    looked_at: Callable[[str], bool] = lambda _: True,
) -> dict[str, str]:
    """Open a page, follow its links, and so on; the address of each page by its template.

    The looks of a page are checked if ``looked_at`` says so of its template.

    Pages count as one when only ids in their paths, or values in their queries, differ. Links to
    other origins, out of ``within``, and to sign out are not followed. Who signs in does so with
    the visitor before.

    Raises:
        AssertionError: there are faults, or more than ``limit`` pages.
    """
    known, waiting, faults = {template_of(start): start}, [start], list[str]()
    while waiting:
        path = waiting.pop(0)
        looks = looked_at(template_of(path))
        faults += (f"{path} {fault}" for fault in _faults(visitor, path, looks=looks))
        for link in visitor.links():
            template = template_of(link)
            if template not in known and _leads_on(link, within):
                known[template] = link
                waiting.append(link)
        assert len(known) <= limit, f"more than {limit} pages: {sorted(known)}"
    assert not faults, "\n".join(faults)
    return known


def _leads_on(link: str, within: str) -> bool:
    path = urlsplit(link).path
    return f"{path}/".startswith(f"{within.rstrip('/')}/") and not path.endswith("/logout")


def _faults(visitor: Visitor, path: str, *, looks: bool) -> Iterator[str]:
    try:
        yield from visitor.visit(path)
    except Error as error:
        yield f"cannot be opened: {error}"
        return
    if looks:
        yield from visitor.looks()
