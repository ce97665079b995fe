"""Shows how forms are filled in, refused at their fields, and sent once."""

import re
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.permissions import Source
from backstay.db.activity import Activity
from backstay.features.access.schemas import Effect
from backstay.features.items.model import Item
from backstay.testing import Add, Login
from tests.admin.conftest import Open
from tests.admin.visiting import Visitor, filled_in
from tests.features.granting import grant
from tests.features.steps import execute

pytestmark = pytest.mark.anyio


@pytest.fixture
async def item(add: Add, login: Login) -> str:
    made = await add(Item(title="first", description="a text", owner_id=UUID((await login()).id)))
    return str(made.id)


async def test_what_was_made_is_shown_next(console: Open) -> None:
    visitor = await console()
    answer = await visitor.submit(
        "/form/create_item", {"title": "new", "description": "two\nlines"}
    )
    assert answer.status_code == 303
    page = await visitor.client.get(answer.headers["location"])
    assert page.status_code == 200
    assert "Create item: done." in page.text
    assert "two\nlines" in page.text


async def test_a_refusal_stands_at_its_field(console: Open) -> None:
    visitor = await console()
    answer = await visitor.submit("/form/create_item", {"title": "", "description": "kept"})
    assert answer.status_code == 422
    assert re.search(
        r'id="i-title"[^>]*aria-describedby=" e-title" aria-invalid="true"', answer.text
    )
    assert re.search(r'id="e-title">String should have at least 1 character', answer.text)
    assert filled_in(answer.text)["description"] == "kept"


async def test_only_what_was_changed_is_sent(console: Open, item: str, backstay: Backstay) -> None:
    visitor = await console()
    answer = await visitor.submit(f"/form/update_item?path.id={item}", {"title": "second"})
    assert answer.headers["location"] == f"/admin/data/items/{item}?done=update_item"
    rows = await execute(backstay, select(Activity.fields).where(Activity.message == "UpdateItem"))
    assert [row.fields for row in rows] == [["title"]]


async def test_an_emptied_field_becomes_null(console: Open, item: str, login: Login) -> None:
    visitor, admin = await console(), await login("admin")
    await visitor.submit(f"/form/update_item?path.id={item}", {"description": ""})
    assert (await admin.client.get(f"/api/v1/items/{item}")).json()["description"] is None


async def test_a_change_by_somebody_else_is_compared(
    console: Open, item: str, login: Login
) -> None:
    visitor, admin = await console(), await login("admin")
    path = f"/form/update_item?path.id={item}"
    form = filled_in((await visitor.get(path)).text) | {"title": "mine"}
    await admin.client.patch(f"/api/v1/items/{item}", json={"title": "theirs"})
    refused = await visitor.client.post(f"/admin{path}", data=form)
    assert refused.status_code == 412
    told = re.findall(r"<tr><th scope=\"row\">Title</th>(.*?)</tr>", refused.text)
    assert told == ["<td>first</td><td>theirs</td><td>mine</td>"]
    assert (await admin.client.get(f"/api/v1/items/{item}")).json()["title"] == "theirs"
    again = filled_in(refused.text)
    assert again["title"] == "mine"
    assert (await visitor.client.post(f"/admin{path}", data=again)).status_code == 303
    assert (await admin.client.get(f"/api/v1/items/{item}")).json()["title"] == "mine"


async def test_a_form_sent_twice_acts_once(console: Open, login: Login) -> None:
    visitor, admin = await console(), await login("admin")
    form = filled_in((await visitor.get("/form/create_item")).text) | {"title": "once"}
    answers = [await visitor.client.post("/admin/form/create_item", data=form) for _ in range(2)]
    assert len({each.headers["location"] for each in answers}) == 1
    found = await admin.client.get("/api/v1/items?title=once")
    assert found.json()["total"] == 1


async def test_deleting_and_restoring(console: Open, item: str, login: Login) -> None:
    visitor, admin = await console(), await login("admin")
    page = (await visitor.get(f"/data/items/{item}")).text
    assert "Delete item" in page
    deleted = await visitor.submit(f"/form/delete_item?path.id={item}", {})
    assert deleted.headers["location"] == "/admin/data/items?done=delete_item"
    assert (await visitor.get(f"/data/items/{item}")).status_code == 404
    await visitor.submit(f"/form/restore_item?path.id={item}", {})
    assert (await admin.client.get(f"/api/v1/items/{item}")).status_code == 200
    await visitor.submit(f"/form/delete_item?path.id={item}", {"hard": "true"})
    gone = await visitor.submit(f"/form/restore_item?path.id={item}", {})
    assert gone.status_code == 404


async def test_refused_fields_have_no_input_and_are_not_sent(
    app: FastAPI, item: str, login: Login, backstay: Backstay
) -> None:
    person = await login()
    rule = (Source.JSON, "title", Effect.DENY)
    await grant(backstay, person.id, "items:update", rules=[rule])
    await grant(backstay, person.id, "items:read")
    visitor = Visitor(app)
    await visitor.sign_in(person.email)
    path = f"/form/update_item?path.id={item}"
    form = filled_in((await visitor.get(path)).text)
    assert "title" not in form
    sent = form | {"title": "planted", "description": "changed"}
    assert (await visitor.client.post(f"/admin{path}", data=sent)).status_code == 303
    page = (await visitor.get(f"/data/items/{item}")).text
    assert "changed" in page
    assert "planted" not in page
    await visitor.client.aclose()


async def test_a_secret_is_never_shown_again(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    path = f"/form/set_password?path.id={person.id}"
    page = (await visitor.get(path)).text
    assert re.search(r'type="password" value=""', page)
    answer = await visitor.submit(path, {"new_password": "short-1"})
    assert answer.status_code == 422
    assert "short-1" not in answer.text
