"""Shows that a user cannot see the items of others, and that an administrator can."""

from typing import Any

import pytest

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.items.conftest import ITEMS, Make
from tests.features.steps import API
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

WRITES: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PUT", "", {"title": "mine"}),
    ("PATCH", "", {"title": "mine"}),
    ("DELETE", "", None),
    ("DELETE", "?hard=true", None),
    ("POST", "/restore", None),
]


@pytest.mark.parametrize(("method", "suffix", "body"), WRITES)
async def test_the_item_of_another_user_is_not_found(
    ada: Person, eve: Person, make: Make, method: str, suffix: str, body: Any
) -> None:
    item, hidden = await make(ada), await make(ada)
    await ada.client.delete(hidden["path"])
    for path in (item["path"], hidden["path"]):
        for headers in ({}, {"If-Match": "*"}, {"If-Match": item["tag"]}):
            answer = await eve.client.request(method, path + suffix, json=body, headers=headers)
            problem(answer, 404, "not_found")
    problem(await eve.client.get(item["path"], headers={"If-None-Match": item["tag"]}), 404)
    assert (await ada.client.get(item["path"])).headers["etag"] == item["tag"]
    problem(await ada.client.get(hidden["path"]), 404)


QUERIES = [
    "",
    "?q=Secret",
    "?title=Secret",
    "?title__contains=ecre",
    "?title__in=Secret,other",
    "?created_at__gte=2000-01-01T00:00:00Z",
    "?description__isnull=true",
    "?limit=5",
    "?limit=5&sort=title",
    "?per_page=1000&sort=-title",
    "?owner_id={ada}",
    "?owner_id__in={ada},{eve}",
]


async def test_items_of_other_users_are_in_no_list(ada: Person, eve: Person, make: Make) -> None:
    await make(ada, "Secret")
    for query in QUERIES:
        path = ITEMS + query.format(ada=ada.id, eve=eve.id)
        listed = (await eve.client.get(path)).json()
        assert listed["items"] == [], query
        assert listed.get("total", 0) == 0, query
    for answer in (
        await eve.client.get(f"{API}/users/{ada.id}/items"),
        await eve.client.get(f"{API}/users/{ada.id}/items?limit=5"),
    ):
        assert answer.json()["items"] == []


async def test_a_cursor_of_another_user_shows_none_of_their_items(
    ada: Person, eve: Person, make: Make
) -> None:
    for number in range(4):
        await make(ada, f"Secret {number}")
    mine = await make(eve, "Mine")
    cursor = (await ada.client.get(ITEMS, params={"limit": 2})).json()["next_cursor"]
    seen = (await eve.client.get(ITEMS, params={"cursor": cursor})).json()["items"]
    assert {item["id"] for item in seen} <= {mine["id"]}


async def test_an_administrator_reaches_every_item(
    ada: Person, eve: Person, make: Make, login: Login
) -> None:
    admin = await login("admin")
    item, other = await make(ada), await make(eve)
    listed = (await admin.client.get(ITEMS)).json()
    assert {row["id"] for row in listed["items"]} == {item["id"], other["id"]}
    of_ada = (await admin.client.get(f"{API}/users/{ada.id}/items")).json()
    assert [row["id"] for row in of_ada["items"]] == [item["id"]]
    by_owner = await admin.client.get(ITEMS, params={"owner_id": eve.id})
    assert [row["id"] for row in by_owner.json()["items"]] == [other["id"]]
    changed = await admin.client.patch(item["path"], json={"title": "Seen"})
    assert (changed.json()["title"], changed.json()["owner_id"]) == ("Seen", ada.id)
    assert (await admin.client.delete(item["path"])).status_code == 204
    assert (await admin.client.post(f"{item['path']}/restore")).status_code == 200
    assert (await admin.client.delete(item["path"], params={"hard": "true"})).status_code == 204


async def test_a_wider_scope_is_wider_for_one_permission_only(
    ada: Person, eve: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada)
    await grant(backstay, eve.id, "items:read", Scope.ANY)
    assert (await eve.client.get(item["path"])).status_code == 200
    problem(await eve.client.patch(item["path"], json={"title": "x"}), 404)
    problem(await eve.client.delete(item["path"]), 404)
    assert (await eve.client.get(ITEMS)).json()["total"] == 0


async def test_the_higher_role_decides_even_when_it_is_narrower(
    ada: Person, eve: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada)
    await grant(backstay, eve.id, "items:read", Scope.ANY, level=1)
    await grant(backstay, eve.id, "items:read", Scope.OWN, level=2)
    problem(await eve.client.get(item["path"]), 404)
