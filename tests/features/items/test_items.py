"""Shows the life of an item: created, read, changed, deleted, restored, erased."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.features.items.model import Item
from backstay.testing import FrozenClock, Person
from tests.features.items.conftest import ITEMS, Make
from tests.features.steps import bearer, execute
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio


async def test_a_created_item_is_answered_and_kept(ada: Person) -> None:
    created = await ada.client.post(ITEMS, json={"title": " Sextant ", "description": "brass"})
    assert created.status_code == 201
    item = created.json()
    assert set(item) == {
        "id",
        "title",
        "description",
        "owner_id",
        "created_at",
        "updated_at",
        "version",
    }
    assert (item["title"], item["description"], item["owner_id"]) == ("Sextant", "brass", ada.id)
    assert item["created_at"] == item["updated_at"]
    assert item["id"][14] == "7"
    assert created.headers["location"] == f"{ITEMS}/{item['id']}"
    read = await ada.client.get(created.headers["location"])
    assert read.json() == item
    assert read.headers["cache-control"] == "no-store"


async def test_put_replaces_everything(ada: Person, make: Make, clock: FrozenClock) -> None:
    item = await make(ada, description="brass")
    clock.forward(seconds=5)
    answer = await ada.client.put(item["path"], json={"title": "Octant"})
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["title"], changed["description"]) == ("Octant", None)
    assert changed["created_at"] == item["created_at"] < changed["updated_at"]
    assert changed["version"] == item["version"] + 1
    assert answer.headers["etag"] == (await ada.client.get(item["path"])).headers["etag"]
    problem(await ada.client.put(item["path"], json={"description": "x"}), 422)


async def test_patch_changes_what_it_names(ada: Person, make: Make) -> None:
    item = await make(ada, description="brass")
    for change, expected in (
        ({"title": "Octant"}, ("Octant", "brass")),
        ({"description": None}, ("Octant", None)),
        ({"description": "wood"}, ("Octant", "wood")),
        ({}, ("Octant", "wood")),
    ):
        changed = (await ada.client.patch(item["path"], json=change)).json()
        assert (changed["title"], changed["description"]) == expected
    body = problem(await ada.client.patch(item["path"], json={"title": None}), 422)
    assert set(fields_of(body)) == {"title"}


async def test_a_deleted_item_is_hidden_and_comes_back(ada: Person, make: Make) -> None:
    item = await make(ada)
    answer = await ada.client.delete(item["path"])
    assert (answer.status_code, answer.content) == (204, b"")
    for method, body in (("GET", None), ("PUT", {"title": "x"}), ("PATCH", {}), ("DELETE", None)):
        problem(await ada.client.request(method, item["path"], json=body), 404, "not_found")
    assert (await ada.client.get(ITEMS)).json()["total"] == 0
    back = await ada.client.post(f"{item['path']}/restore")
    assert back.status_code == 200
    assert back.json()["title"] == item["title"]
    assert back.headers["etag"] != item["tag"]
    assert (await ada.client.get(item["path"])).json() == back.json()


async def test_a_hard_delete_is_final(ada: Person, make: Make) -> None:
    visible, hidden = await make(ada), await make(ada)
    await ada.client.delete(hidden["path"])
    for item in (visible, hidden):
        answer = await ada.client.delete(item["path"], params={"hard": "true"})
        assert answer.status_code == 204
        problem(await ada.client.post(f"{item['path']}/restore"), 404, "not_found")
        problem(await ada.client.delete(item["path"], params={"hard": "true"}), 404)


async def test_restoring_an_undeleted_item_changes_nothing(ada: Person, make: Make) -> None:
    item = await make(ada)
    answer = await ada.client.post(f"{item['path']}/restore")
    assert (answer.status_code, answer.headers["etag"]) == (200, item["tag"])


async def test_an_unknown_id_is_not_found(ada: Person) -> None:
    for path in (f"{ITEMS}/{uuid4()}", f"{ITEMS}/{uuid4()}/restore"):
        method = "POST" if path.endswith("restore") else "GET"
        problem(await ada.client.request(method, path), 404, "not_found")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("bad", ["1", "x", "null", "01a1fdc6", "%00", "-", "٣", "a" * 3000])
async def test_an_id_of_another_form_is_not_valid(ada: Person, bad: str) -> None:
    body = problem(await ada.client.get(f"{ITEMS}/{bad}"), 422, "validation_error")
    assert fields_of(body) == {"id": "uuid_parsing"}


MISSHAPEN: list[tuple[Any, str]] = [
    ({}, "title"),
    ({"title": ""}, "title"),
    ({"title": "  "}, "title"),
    ({"title": None}, "title"),
    ({"title": 5}, "title"),
    ({"title": ["x"]}, "title"),
    ({"title": "x" * 201}, "title"),
    ({"title": "x", "description": "x" * 10_001}, "description"),
    ({"title": "x", "description": {}}, "description"),
    ({"title": "x", "owner_id": "01a1fdc6-0000-7000-8000-000000000000"}, "owner_id"),
    ({"title": "x", "id": "01a1fdc6-0000-7000-8000-000000000000"}, "id"),
    ({"title": "x", "version": 9}, "version"),
    ({"title": "x", "deleted_at": None}, "deleted_at"),
    ({"title": "x", "created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ([], "body"),
    ("x", "body"),
    (None, "body"),
]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_item_has_a_form(ada: Person, make: Make) -> None:
    item = await make(ada)
    for body, field in MISSHAPEN:
        for method, path in (("POST", ITEMS), ("PUT", item["path"])):
            answer = await ada.client.request(method, path, json=body)
            assert set(fields_of(problem(answer, 422, "validation_error"))) == {field}, body
    unchanged = (await ada.client.get(item["path"])).json()
    assert unchanged["version"] == item["version"]


@pytest.mark.parametrize("title", ["Ünïcödé 🐎", "a" * 200, "'; DROP TABLE items; --", '\\ % _ "'])
async def test_text_comes_back_as_it_was(ada: Person, make: Make, title: str) -> None:
    item = await make(ada, title, description=title)
    read = (await ada.client.get(item["path"])).json()
    assert (read["title"], read["description"]) == (title, title)


async def test_nul_is_refused_by_every_database(ada: Person, make: Make) -> None:
    item = await make(ada)
    for body in ({"title": "a\0b"}, {"title": "x", "description": "\0"}):
        problem(await ada.client.post(ITEMS, json=body), 422, "validation_error")
        problem(await ada.client.put(item["path"], json=body), 422, "validation_error")
        problem(await ada.client.patch(item["path"], json=body), 422, "validation_error")


async def test_strangers_are_refused_before_their_body_is_read(
    client: httpx.AsyncClient, ada: Person, make: Make
) -> None:
    item = await make(ada)
    for method, path in (
        ("GET", ITEMS),
        ("POST", ITEMS),
        ("GET", item["path"]),
        ("PUT", item["path"]),
        ("PATCH", item["path"]),
        ("DELETE", item["path"]),
        ("POST", f"{item['path']}/restore"),
        ("GET", f"/api/v1/users/{ada.id}/items"),
    ):
        answer = await client.request(method, path, content=b"{", headers=bearer("x"))
        problem(answer, 401, "auth_error")


async def test_the_author_of_a_change_is_kept(ada: Person, make: Make, backstay: Backstay) -> None:
    await make(ada)
    row = (await execute(backstay, select(Item.created_by, Item.updated_by))).one()
    assert (str(row.created_by), str(row.updated_by)) == (ada.id, ada.id)
