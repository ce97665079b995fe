"""Shows what a walk opens, what it leaves out, and that it tells of faults on its way."""

from uuid import uuid4

import pytest

from tests.browser.made import ORIGIN, Made
from tests.browser.visiting import template_of
from tests.browser.walking import walk


def link(*targets: str) -> str:
    """Links to addresses."""
    return "".join(f'<p><a href="{target}">{number}</a>' for number, target in enumerate(targets))


def test_one_page_of_each_kind_is_opened(made: Made) -> None:
    first, second = f"/things/{uuid4()}", f"/things/{uuid4()}"
    made.make(link("/things?q=a", "/things?q=b", first, second, "/", "#main"))
    made.make(link("deep"), "/things")
    made.make("one", first)
    made.make("end", "/deep")
    assert walk(made, "/") == {
        "/": "/",
        "/things?q": "/things?q=a",
        "/things/{id}": first,
        "/deep": "/deep",
    }


def test_ways_out_are_not_taken(made: Made) -> None:
    made.make(
        link("http://else.test/", "/outside", "/in/logout", "mailto:a@b.test", "/inner")
        + '<a href="/in/file" download>File</a>',
        "/in",
    )
    assert walk(made, "/in", within="/in") == {"/in": "/in"}


def test_faults_on_the_way_are_told_by_page(made: Made) -> None:
    made.make(link("/gone", "/bare"))
    made.make("<input>", "/bare")
    with pytest.raises(AssertionError) as caught:
        walk(made, "/")
    told = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert {"/gone answers 404, not 200", "/bare critical"} <= {*told}


def test_a_page_that_cannot_be_opened_is_told(made: Made) -> None:
    made.make(link("/file"))
    made.page.route(
        f"{ORIGIN}/file",
        lambda route: route.fulfill(
            body="x", headers={"Content-Disposition": "attachment", "Content-Type": "text/csv"}
        ),
    )
    with pytest.raises(AssertionError, match="cannot be opened"):
        walk(made, "/")


def test_too_many_pages_are_told(made: Made) -> None:
    made.make(link("/a", "/b"))
    made.make("a", "/a")
    made.make("b", "/b")
    assert len(walk(made, "/", limit=3)) == 3
    with pytest.raises(AssertionError, match="more than 2 pages"):
        walk(made, "/", limit=2)


def test_templates_hold_names_of_a_query_but_no_values() -> None:
    assert template_of(f"/a/{uuid4()}/b?z=1&cursor=2&z=3") == "/a/{id}/b?cursor&z"
