"""Shows what the audit trail holds: sender, command and outcome, and no secret."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.db.activity import Activity
from backstay.features.system.commands.purging import PurgeActivity
from backstay.testing import ADMIN_EMAIL, PASSWORD, FrozenClock, Login
from tests.features.granting import grant
from tests.features.steps import (
    API,
    AUTH,
    OTHER_PASSWORD,
    Trail,
    execute,
    needs,
    refresh,
    said,
    sign_in,
)

pytestmark = pytest.mark.anyio

ACTIVITY = f"{API}/system/activity"


async def dump(backstay: Backstay) -> str:
    return str((await execute(backstay, text("SELECT * FROM activity"))).all())


@needs("items")
async def test_a_command_leaves_one_row(login: Login, trail: Trail, clock: FrozenClock) -> None:
    person = await login()
    await trail()
    headers = {"X-Request-ID": "of-this-test"}
    body = {"title": "Chart", "description": "of the sea"}
    created = await person.client.post(f"{API}/items", json=body, headers=headers)
    (row,) = await trail()
    assert row._asdict() == {
        "id": row.id,
        "created_at": clock.now,
        "user_id": UUID(person.id),
        "actor": "user",
        "session_id": UUID(person.tokens["session_id"]),
        "address": "192.0.2.1",
        "request_id": "of-this-test",
        "message": "CreateItem",
        "permission": "items:create",
        "targets": {"id": created.json()["id"]},
        "fields": ["description", "title"],
        "outcome": "ok",
        "code": None,
        "status": None,
        "operator": None,
        "impersonator_id": None,
    }


@needs("items")
async def test_a_row_names_the_path_and_the_sent_fields_only(login: Login, trail: Trail) -> None:
    person = await login()
    item = (await person.client.post(f"{API}/items", json={"title": "Chart"})).json()
    await trail()
    await person.client.patch(f"{API}/items/{item['id']}", json={"title": "Map"})
    await person.client.delete(f"{API}/items/{item['id']}", params={"hard": "true"})
    assert [(row.targets, row.fields) for row in await trail()] == [
        ({"id": item["id"]}, ["title"]),
        ({"id": item["id"], "hard": "true"}, ["hard"]),
    ]


@needs("items")
async def test_queries_leave_no_row(login: Login, trail: Trail) -> None:
    person = await login()
    await trail()
    assert (await person.client.get(f"{API}/items")).status_code == 200
    assert (await person.client.get(f"{API}/items/{UUID(int=0)}")).status_code == 404
    assert await trail() == []


@needs("items")
async def test_a_refused_command_is_rolled_back_and_recorded(
    login: Login, trail: Trail, backstay: Backstay
) -> None:
    person = await login()
    item = (await person.client.post(f"{API}/items", json={"title": "Chart"})).json()
    await trail()
    stale = {"If-Match": '"stale"'}
    await person.client.patch(f"{API}/items/{item['id']}", json={"title": "Map"}, headers=stale)
    await person.client.delete(f"{API}/items/{UUID(int=0)}")
    rows = await trail()
    assert said(rows) == [
        ("UpdateItem", "refused", "precondition_failed"),
        ("DeleteItem", "refused", "not_found"),
    ]
    assert [row.status for row in rows] == [412, 404]
    assert [row.user_id for row in rows] == [UUID(person.id)] * 2
    assert rows[1].targets == {"id": str(UUID(int=0))}


async def test_a_forbidden_query_is_recorded(login: Login, trail: Trail) -> None:
    person = await login()
    await trail()
    assert (await person.client.get(f"{API}/users")).status_code == 403
    (row,) = await trail()
    assert said([row]) == [("ListUsers", "refused", "forbidden")]
    assert row.permission == "users:list"


@needs("items")
async def test_a_failure_of_the_database_is_recorded(
    login: Login, trail: Trail, backstay: Backstay
) -> None:
    person = await login()
    await trail()
    await execute(backstay, text("ALTER TABLE items RENAME TO gone"))
    answer = await person.client.post(f"{API}/items", json={"title": "Chart"})
    assert answer.status_code == 500
    (row,) = await trail()
    assert said([row]) == [("CreateItem", "failed", "db_error")]
    assert (answer.json()["code"], row.status) == ("db_error", 500)


@needs("items")
async def test_a_refusal_is_answered_even_if_its_row_fails(
    login: Login, backstay: Backstay
) -> None:
    person = await login()
    await execute(backstay, text("ALTER TABLE activity RENAME TO gone"))
    answer = await person.client.delete(f"{API}/items/{UUID(int=0)}")
    assert answer.status_code == 404
    answer = await person.client.post(f"{API}/items", json={"title": "Chart"})
    assert answer.status_code == 500
    assert (await person.client.get(f"{API}/items")).json()["items"] == []


async def test_no_secret_is_in_any_row(
    client: httpx.AsyncClient, login: Login, backstay: Backstay
) -> None:
    person = await login(fingerprint="a very own fingerprint")
    secrets = [PASSWORD, OTHER_PASSWORD, "a wrong password", "a very own fingerprint"]
    secrets += [person.tokens["access_token"], person.tokens["refresh_token"]]
    await sign_in(client, person.email, password="a wrong password")
    await refresh(client, person.tokens["refresh_token"], fingerprint="a very own fingerprint")
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    changed = await person.client.post(f"{AUTH}/password/change", json=body)
    assert changed.is_success
    await backstay.trail.settle()
    rows = await dump(backstay)
    assert "new_password" in rows
    assert "fingerprint" in rows
    assert [secret for secret in secrets if secret in rows] == []


async def test_the_trail_is_listed_newest_first(login: Login) -> None:
    admin, person = await login("admin"), await login()
    await person.client.get(f"{API}/users")
    assert (await person.client.get(ACTIVITY)).status_code == 403
    answer = await admin.client.get(ACTIVITY, params={"user_id": person.id})
    assert answer.status_code == 200, answer.text
    entries = answer.json()["items"]
    assert [entry["message"] for entry in entries] == ["ListActivity", "ListUsers", "Login"]
    assert entries[0]["fields"] == []
    assert entries[0]["permission"] == "audit:list"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"outcome": "refused"}, ["ListUsers"]),
        ({"code": "forbidden"}, ["ListUsers"]),
        ({"message__in": "Login,EndSession"}, ["Login", "Login"]),
        ({"message": "RegisterUser", "user_id__isnull": "true"}, ["RegisterUser"]),
        ({"message": "RegisterUser", "user_id__isnull": "false"}, []),
        ({"created_at__lte": "2020-01-01T00:00:00Z"}, []),
    ],
)
async def test_the_trail_is_filtered(
    login: Login, query: dict[str, str], expected: list[str]
) -> None:
    person, admin = await login(), await login("admin")
    await person.client.get(f"{API}/users")
    listed = await admin.client.get(ACTIVITY, params=query)
    assert [entry["message"] for entry in listed.json()["items"]] == expected


async def test_the_trail_of_a_session_is_found(login: Login) -> None:
    person, admin = await login(), await login("admin")
    query = {"session_id": person.tokens["session_id"]}
    (entry,) = (await admin.client.get(ACTIVITY, params=query)).json()["items"]
    assert (entry["message"], entry["user_id"]) == ("Login", person.id)


async def test_the_trail_is_read_page_by_page(login: Login) -> None:
    admin = await login("admin")
    for _ in range(4):
        await admin.client.delete(f"{AUTH}/sessions")
    seen, query = [], {"limit": "2"}
    while True:
        page = (await admin.client.get(ACTIVITY, params=query)).json()
        seen += [entry["id"] for entry in page["items"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": "2", "cursor": page["next_cursor"]}
    whole = (await admin.client.get(ACTIVITY, params={"per_page": "100"})).json()
    assert seen == [entry["id"] for entry in whole["items"]]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) >= 5


async def test_own_scope_shows_what_is_about_oneself(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    person, other = await login(), await login(name="other")
    await sign_in(client, other.email, password="not the password")
    await grant(backstay, person.id, "audit:list", Scope.OWN)
    answer = await person.client.get(ACTIVITY)
    assert {entry["user_id"] for entry in answer.json()["items"]} == {person.id}
    foreign = await person.client.get(ACTIVITY, params={"user_id": other.id})
    assert foreign.json()["items"] == []


async def test_actions_of_the_system_are_recorded_as_its_own(backstay: Backstay) -> None:
    rows = (await execute(backstay, select(*Activity.__table__.columns))).all()
    assert {(row.message, row.actor, row.user_id) for row in rows} == {
        ("SyncAccess", "system", None),
        ("EnsureTier", "system", None),
        ("EnsureAdmin", "system", None),
    }
    assert ADMIN_EMAIL not in await dump(backstay)


class TestRetention:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"LOG_ACTIVITY_DAYS": "30"}

    async def test_rows_are_removed_after_their_retention_time(
        self, login: Login, backstay: Backstay, trail: Trail, clock: FrozenClock
    ) -> None:
        await login()
        assert len(await trail()) == 2
        clock.forward(days=29)
        assert await backstay.system(PurgeActivity()) is False
        assert await trail() == []
        clock.forward(days=2)
        assert await backstay.system(PurgeActivity()) is False
        rows = (await execute(backstay, select(Activity.message))).scalars().all()
        assert list(rows) == ["PurgeActivity"]


async def test_without_a_retention_setting_nothing_is_removed(
    login: Login, backstay: Backstay, clock: FrozenClock
) -> None:
    await login()
    before = await dump(backstay)
    clock.forward(days=10_000)
    assert await backstay.system(PurgeActivity()) is False
    assert await dump(backstay) == before
