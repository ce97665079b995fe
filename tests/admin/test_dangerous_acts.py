"""Shows how the console asks for the password again, and how one acts as somebody else."""

import re
from uuid import UUID

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.db.activity import Activity
from backstay.testing import FrozenClock, Login
from backstay.testing.people import PASSWORD
from tests.admin.conftest import Open
from tests.features.steps import execute

pytestmark = pytest.mark.anyio


async def test_a_form_asks_for_the_password_first(
    console: Open, login: Login, clock: FrozenClock
) -> None:
    person, visitor = await login(), await console()
    form = f"/form/delete_user?path.id={person.id}"
    assert (await visitor.get(form)).status_code == 200
    clock.forward(minutes=6)
    asked = await visitor.get(form)
    assert asked.status_code == 303
    page = asked.headers["location"].removeprefix("/admin")
    wrong = await visitor.submit(page, {"password": "wrong password"})
    assert wrong.status_code == 403
    assert "This is not your password." in wrong.text
    proven = await visitor.submit(page, {"password": PASSWORD})
    assert proven.headers["location"] == f"/admin{form}"
    assert (await visitor.submit(form, {})).status_code == 303


async def test_a_form_that_waited_too_long_asks_for_it(
    console: Open, login: Login, clock: FrozenClock
) -> None:
    person, visitor = await login(), await console()
    form = f"/form/delete_user?path.id={person.id}"
    token = await visitor.token()
    clock.forward(minutes=6)
    sent = {"csrf": token, "path.id": person.id}
    answer = await visitor.client.post(f"/admin{form}", data=sent)
    assert answer.headers["location"].startswith("/admin/fresh?next=%2Fform%2Fdelete_user")
    assert person.id in answer.headers["location"]
    assert (await person.client.get("/api/v1/users/me")).status_code == 200


async def test_who_acts_as_somebody_else_is_told_on_every_page(
    console: Open, login: Login, backstay: Backstay
) -> None:
    person, visitor = await login(), await console()
    answer = await visitor.submit(f"/form/impersonate?path.id={person.id}", {})
    assert answer.headers["location"] == "/admin"
    for page in ("", "/data/items", "/form/create_item", "/nowhere"):
        assert f"You act as {person.email}." in (await visitor.get(page)).text
    made = await visitor.submit("/form/create_item", {"title": "made for you"})
    assert made.status_code == 303
    own = await person.client.get("/api/v1/items")
    assert [each["title"] for each in own.json()["items"]] == ["made for you"]
    columns = Activity.user_id, Activity.impersonator_id
    statement = select(*columns).where(Activity.message == "CreateItem")
    (row,) = await execute(backstay, statement)
    assert row.user_id == UUID(person.id)
    assert row.impersonator_id is not None
    trail = (await (await console()).get("/data/system/activity?message=CreateItem")).text
    assert f'href="/admin/data/users/{person.id}"' in trail
    admin = f"/admin/data/users/{row.impersonator_id}"
    assert f'href="{admin}"' in trail


@pytest.mark.parametrize("form", ["change_password", "delete_me", "end_sessions"])
async def test_what_is_personal_stays_closed_to_them(
    console: Open, login: Login, form: str
) -> None:
    person, visitor = await login(), await console()
    await visitor.submit(f"/form/impersonate?path.id={person.id}", {})
    answer = await visitor.client.post(
        f"/admin/form/{form}",
        data={
            "csrf": await visitor.token(),
            "current_password": PASSWORD,
            "new_password": "another password 1",
        },
    )
    assert answer.status_code == 403
    assert (await person.client.get("/api/v1/users/me")).status_code == 200


async def test_what_is_personal_is_not_offered_to_them(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    offered = (await visitor.get("/data/users/me")).text
    assert "/form/delete_me" in offered
    await visitor.submit(f"/form/impersonate?path.id={person.id}", {})
    offered = (await visitor.get("/data/users/me")).text
    assert "/form/delete_me" not in offered
    assert "/form/update_me" in offered


async def test_they_are_told_why_no_password_is_asked_for(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    await visitor.submit(f"/form/impersonate?path.id={person.id}", {})
    answer = await visitor.submit("/fresh", {"password": PASSWORD})
    assert answer.status_code == 403
    assert "not an impersonator" in answer.text
    assert "This is not your password" not in answer.text


async def test_signing_out_ends_it(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    await visitor.submit(f"/form/impersonate?path.id={person.id}", {})
    kept = visitor.client.cookies["console"]
    answer = await visitor.client.post("/admin/sign-out", data={"csrf": await visitor.token()})
    assert answer.status_code == 303
    visitor.client.cookies.set("console", kept)
    assert (await visitor.get("")).status_code == 303
    assert (await person.client.get("/api/v1/users/me")).status_code == 200


async def test_nobody_acts_as_a_superuser(console: Open, login: Login) -> None:
    admin, visitor = await login("admin"), await console()
    page = await visitor.submit(f"/form/impersonate?path.id={admin.id}", {})
    assert page.status_code in {403, 409}
    assert re.search(r'role="alert">[^<]+', page.text)


async def test_no_password_is_asked_of_who_acts_as_somebody(console: Open, login: Login) -> None:
    person, visitor = await login("admin"), await console()
    user = await login()
    await visitor.submit(f"/form/impersonate?path.id={user.id}", {})
    asked = await visitor.submit("/fresh", {"password": PASSWORD})
    assert asked.status_code == 403
    assert "not an impersonator" in asked.text
    assert "not your password" not in asked.text
    assert (await person.client.get("/api/v1/users/me")).status_code == 200


async def test_a_new_session_is_not_undone_by_the_last(
    console: Open, login: Login, clock: FrozenClock
) -> None:
    person, visitor = await login(), await console()
    form = {"csrf": await visitor.token(), "path.id": person.id}
    clock.forward(minutes=2)  # the cookie of the administrator would be written anew
    await visitor.client.post("/admin/form/impersonate", data=form)
    assert f"You act as {person.email}." in (await visitor.get("")).text
    clock.forward(minutes=2)
    assert (await visitor.sign_in(person.email)).status_code == 303
    page = await visitor.get("")
    assert page.status_code == 200
    assert "You act as" not in page.text
    clock.forward(minutes=2)
    answer = await visitor.client.post("/admin/sign-out", data={"csrf": await visitor.token()})
    assert "console" not in visitor.client.cookies
    assert len(answer.headers.get_list("set-cookie")) == 1
