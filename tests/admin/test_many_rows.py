"""Shows that the same can be done with many rows, each by itself, and that progress is seen."""

import re
from uuid import UUID

import pytest
from fastapi import FastAPI

from backstay.features.items.model import Item
from backstay.testing import Add, FrozenClock, Login, Work
from tests.admin.conftest import Open
from tests.admin.visiting import Visitor, filled_in

pytestmark = pytest.mark.anyio


@pytest.fixture
async def items(add: Add, login: Login) -> list[str]:
    owner = UUID((await login()).id)
    return [str((await add(Item(title=f"item {n}", owner_id=owner))).id) for n in range(5)]


async def start(visitor: Visitor, ids: list[str], operation: str = "delete_item") -> str:
    """Choose rows of the list and do something with them; the page of its progress."""
    form = filled_in((await visitor.get("/data/items")).text)
    answer = await visitor.client.post(
        "/admin/bulk", data={**form, "operation": operation, "row": ids}
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/admin")


async def test_each_chosen_row_has_a_result(
    console: Open, items: list[str], login: Login, work: Work
) -> None:
    visitor, admin = await console(), await login("admin")
    await admin.client.delete(f"/api/v1/items/{items[1]}")
    page = await start(visitor, items[:3])
    waiting = (await visitor.get(page)).text
    assert 'data-live="2"' in waiting
    assert f"<h1>Bulk action …{page[-8:]}</h1>" in waiting
    assert '<p class="crumbs"><a href="/admin/data/system/bulk">Bulk actions<' in waiting
    await work.run()
    over = (await visitor.get(page)).text
    assert "data-live" not in over
    assert re.findall(r"<td>(succeeded|failed)</td>", over) == ["succeeded", "failed", "succeeded"]
    left = await admin.client.get("/api/v1/items")
    assert {each["id"] for each in left.json()["items"]} == set(items[3:])


async def test_the_list_offers_what_needs_no_more_than_an_id(
    console: Open, items: list[str]
) -> None:
    page = (await (await console()).get("/data/items")).text
    offered = re.findall(r'<option value="(\w+)">', page[page.index("bulk-act") :])
    assert offered == ["delete_item", "restore_item"]
    assert page.count('type="checkbox"') == 5


async def test_nothing_chosen_is_a_sentence(console: Open, items: list[str]) -> None:
    visitor = await console()
    form = filled_in((await visitor.get("/data/items")).text)
    answer = await visitor.client.post("/admin/bulk", data=form | {"operation": "delete_item"})
    assert answer.status_code == 422
    assert "Choose rows of the list" in answer.text


async def test_a_right_that_is_lost_meanwhile_stops_it(
    console: Open, items: list[str], login: Login, work: Work, app: FastAPI
) -> None:
    owner = await login(name="owner")
    visitor = Visitor(app)
    await visitor.sign_in(owner.email)
    made = [
        (await owner.client.post("/api/v1/items", json={"title": f"own {n}"})).json()["id"]
        for n in range(3)
    ]
    page = await start(visitor, made)
    admin = await login("admin")
    await admin.client.post(f"/api/v1/users/{owner.id}/block")
    await work.run()
    await admin.client.post(f"/api/v1/users/{owner.id}/unblock")
    found = await admin.client.get("/api/v1/items?limit=100")
    assert set(made) <= {each["id"] for each in found.json()["items"]}
    await visitor.client.aclose()
    assert page.startswith("/data/system/bulk/")


async def test_what_destroys_asks_for_the_password(
    console: Open, login: Login, clock: FrozenClock
) -> None:
    person, visitor = await login(), await console()
    form = filled_in((await visitor.get("/data/users")).text)
    sent = {**form, "operation": "delete_user", "row": [person.id]}
    clock.forward(minutes=6)
    answer = await visitor.client.post("/admin/bulk", data=sent)
    assert answer.headers["location"] == "/admin/fresh?next=%2Fdata%2Fusers"
