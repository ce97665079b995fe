"""Shows lists: by number and by cursor, sorted, searched, filtered, and linked."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from backstay.testing import FrozenClock, Person
from tests.features.items.conftest import ITEMS, Make

pytestmark = pytest.mark.anyio

TITLES = ["delta", "Bravo", "alpha", "charlie", "echo 50%"]


@pytest.fixture
async def five(ada: Person, make: Make, clock: FrozenClock) -> list[dict[str, Any]]:
    """Five items, a minute apart; every second has a description."""
    items = []
    for number, title in enumerate(TITLES):
        clock.forward(seconds=60)
        items.append(await make(ada, title, description=f"about {title}" if number % 2 else None))
    return items


async def titles(person: Person, **params: Any) -> list[str]:
    answer = await person.client.get(ITEMS, params=params)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


def links(answer: httpx.Response) -> dict[str, str]:
    """The targets of the ``Link`` header by relation."""
    return {str(rel): link["url"] for rel, link in answer.links.items()}


async def test_a_page_says_where_it_is(ada: Person, five: list[Any]) -> None:
    answer = await ada.client.get(ITEMS)
    assert {name: value for name, value in answer.json().items() if name != "items"} == {
        "total": 5,
        "page": 1,
        "per_page": 20,
        "pages": 1,
        "has_more": False,
    }
    assert [item["title"] for item in answer.json()["items"]] == TITLES[::-1]
    light = {"id", "title", "owner_id", "created_at", "updated_at"}
    assert all(set(item) == light for item in answer.json()["items"])


async def test_a_query_too_long_for_a_header_has_no_links(ada: Person, five: list[Any]) -> None:
    wanted = [*TITLES, *(f"{number:060}" for number in range(20))]
    answer = await ada.client.get(ITEMS, params={"title__in": ",".join(wanted), "per_page": 2})
    assert answer.status_code == 200
    assert (len(answer.json()["items"]), links(answer)) == (2, {})


async def test_pages_follow_each_other(ada: Person, five: list[Any]) -> None:
    seen = []
    for page, has_more in ((1, True), (2, True), (3, False), (4, False)):
        body = (await ada.client.get(ITEMS, params={"page": page, "per_page": 2})).json()
        assert (body["total"], body["pages"], body["has_more"]) == (5, 3, has_more)
        seen += [item["title"] for item in body["items"]]
    assert seen == TITLES[::-1]


async def test_an_empty_list_is_a_page_too(ada: Person) -> None:
    answer = await ada.client.get(ITEMS)
    assert (answer.json()["items"], answer.json()["total"], answer.json()["pages"]) == ([], 0, 0)


async def test_the_count_can_be_skipped(ada: Person, five: list[Any]) -> None:
    body = (await ada.client.get(ITEMS, params={"total": "false", "per_page": 3})).json()
    assert (body["total"], body["pages"], body["has_more"]) == (None, None, True)


async def test_links_lead_through_the_pages(ada: Person, five: list[Any]) -> None:
    first = await ada.client.get(ITEMS, params={"per_page": 1, "sort": "title", "q": "a"})
    assert set(links(first)) == {"first", "next", "last"}
    second = await ada.client.get(links(first)["next"])
    assert set(links(second)) == {"first", "prev", "next", "last"}
    assert (await ada.client.get(links(second)["prev"])).json() == first.json()
    last = await ada.client.get(links(first)["last"])
    assert set(links(last)) == {"first", "prev", "last"}
    assert not last.json()["has_more"]
    assert all(not urlsplit(url).netloc for url in links(second).values())


@pytest.mark.parametrize("sort", ["", "title", "-title", "-created_at", "created_at,-title"])
async def test_cursors_lead_forward_and_back(ada: Person, five: list[Any], sort: str) -> None:
    params = {"sort": sort} if sort else {}
    expected = await titles(ada, **params)
    answer = await ada.client.get(ITEMS, params={"limit": 2, **params})
    assert answer.json()["prev_cursor"] is None
    pages = [answer]
    while (cursor := pages[-1].json()["next_cursor"]) is not None:
        pages.append(await ada.client.get(ITEMS, params={"limit": 2, "cursor": cursor}))
    seen = [item["title"] for page in pages for item in page.json()["items"]]
    assert seen == expected
    back = [pages[-1]]
    while (cursor := back[-1].json()["prev_cursor"]) is not None:
        back.append(await ada.client.get(ITEMS, params={"limit": 2, "cursor": cursor}))
    seen = [item["title"] for page in reversed(back) for item in page.json()["items"]]
    assert seen == expected


async def test_clients_that_send_every_default_along_follow_cursors(
    ada: Person, five: list[Any]
) -> None:
    defaults = {"page": "1", "per_page": "20", "total": "true"}
    first = await ada.client.get(ITEMS, params={**defaults, "limit": 3})
    cursor = first.json()["next_cursor"]
    second = await ada.client.get(ITEMS, params={**defaults, "cursor": cursor})
    assert (
        first.json()["items"] + second.json()["items"]
        == (await ada.client.get(ITEMS, params=defaults)).json()["items"]
    )
    linked = await ada.client.get(links(first)["next"])
    assert linked.json()["items"] == second.json()["items"]


async def test_links_carry_the_cursors(ada: Person, five: list[Any]) -> None:
    first = await ada.client.get(ITEMS, params={"limit": 2, "q": "a"})
    assert set(links(first)) == {"next"}
    second = await ada.client.get(links(first)["next"])
    assert set(links(second)) == {"prev"} | ({"next"} if second.json()["next_cursor"] else set())
    assert (await ada.client.get(links(second)["prev"])).json()["items"] == first.json()["items"]


async def test_a_cursor_stands_between_rows_whatever_comes_and_goes(
    ada: Person, five: list[Any], make: Make
) -> None:
    body = (await ada.client.get(ITEMS, params={"limit": 2})).json()
    assert [item["title"] for item in body["items"]] == TITLES[:-3:-1]
    await make(ada, "newest")
    await ada.client.delete(f"{ITEMS}/{body['items'][1]['id']}")
    following = await titles(ada, limit=3, cursor=body["next_cursor"])
    assert following == TITLES[2::-1]


async def test_equal_keys_are_kept_apart_by_id(ada: Person, make: Make) -> None:
    made = [(await make(ada, "same"))["id"] for _ in range(7)]
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 3, "sort": "title"}
    while True:
        body = (await ada.client.get(ITEMS, params=params)).json()
        seen += [item["id"] for item in body["items"]]
        if body["next_cursor"] is None:
            break
        params = {"limit": 3, "cursor": body["next_cursor"]}
    assert sorted(seen) == sorted(made)
    assert len(seen) == 7


async def test_sorting_is_by_the_named_fields(ada: Person, five: list[Any]) -> None:
    assert await titles(ada, sort="created_at") == TITLES
    assert await titles(ada, sort="-created_at") == TITLES[::-1]
    await ada.client.patch(five[0]["path"], json={"title": "alpha"})
    assert (await titles(ada, sort="title,-created_at"))[-5:].count("alpha") == 2


FOUND: list[tuple[str, set[str]]] = [
    ("q=ALPHA", {"alpha"}),
    ("q=about", {"Bravo", "charlie"}),
    ("q=%25", {"echo 50%"}),
    ("q=_", set()),
    ("q=%5C", set()),
    ("q=nothing", set()),
    ("title=alpha", {"alpha"}),
    ("title=ALPHA", set()),
    ("title__in=alpha,delta,zulu", {"alpha", "delta"}),
    ("title__in=alpha&title__in=delta", {"alpha", "delta"}),
    ("title__in=alpha,Bravo&title__in=delta", {"alpha", "Bravo", "delta"}),
    ("title__contains=CH", {"charlie", "echo 50%"}),
    ("title__contains=50%25", {"echo 50%"}),
    ("description__isnull=true", {"delta", "alpha", "echo 50%"}),
    ("description__isnull=false", {"Bravo", "charlie"}),
    ("description__contains=BRAVO", {"Bravo"}),
    ("title=alpha&description__isnull=false", set()),
    ("title__contains=a&title__in=alpha,charlie&description__isnull=false", {"charlie"}),
    ("title__isnull=true", set()),
]


async def test_filters_and_search_find_what_they_say(ada: Person, five: list[Any]) -> None:
    for query, found in FOUND:
        for paging in ("", "&limit=10", "&total=false"):
            answer = await ada.client.get(f"{ITEMS}?{query}{paging}")
            assert answer.status_code == 200, answer.text
            assert {item["title"] for item in answer.json()["items"]} == found, query
        assert (await ada.client.get(f"{ITEMS}?{query}")).json()["total"] == len(found), query


async def test_times_are_bounds_and_include_themselves(ada: Person, five: list[Any]) -> None:
    third = five[2]["created_at"]
    assert await titles(ada, created_at__gte=third) == TITLES[:1:-1]
    assert await titles(ada, created_at__lte=third) == TITLES[2::-1]
    assert await titles(ada, created_at=third) == [TITLES[2]]
    both = {"created_at__gte": five[1]["created_at"], "created_at__lte": five[3]["created_at"]}
    assert await titles(ada, **both) == TITLES[3:0:-1]
    other_zone = third.replace("Z", "+00:00")
    assert await titles(ada, created_at=other_zone) == [TITLES[2]]
    assert await titles(ada, created_at__in=f"{third},{five[0]['created_at']}") == [
        TITLES[2],
        TITLES[0],
    ]


async def test_the_items_of_a_user_are_a_separate_list(ada: Person, five: list[Any]) -> None:
    answer = await ada.client.get(f"/api/v1/users/{ada.id}/items", params={"q": "alpha"})
    assert [item["title"] for item in answer.json()["items"]] == ["alpha"]
    by_cursor = await ada.client.get(f"/api/v1/users/{ada.id}/items", params={"limit": 2})
    cursor = by_cursor.json()["next_cursor"]
    following = await ada.client.get(f"/api/v1/users/{ada.id}/items", params={"cursor": cursor})
    assert [item["title"] for item in following.json()["items"]] == TITLES[2::-1]
