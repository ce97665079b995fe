"""Shows how accounts are deleted, erased with their rows, and restored."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Table,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
)

from backstay.composition import Backstay
from backstay.core.permissions import Scope, Source
from backstay.db.base import Base
from backstay.features.access.model import RoleMember
from backstay.features.access.schemas import Effect
from backstay.features.auth.model import Session
from backstay.testing import Login, Person, settle
from tests.features.granting import grant
from tests.features.mail.post import forgot
from tests.features.steps import API, execute, needs, register, sign_in
from tests.features.users.administering import USERS, act
from tests.jobs.steps import jobs
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

ITEMS = f"{API}/items"


async def rows(backstay: Backstay, entity: type[Base], user_id: str) -> int:
    """The number of rows of a table that belong to a user."""
    column = entity.__table__.columns.user_id
    statement = select(func.count()).select_from(entity).where(column == UUID(user_id))
    count: int = (await execute(backstay, statement)).scalar_one()
    return count


async def own_something(person: Person) -> str:
    """Create an item; its path."""
    created = await person.client.post(ITEMS, json={"title": "Sextant"})
    path: str = created.headers["location"]
    return path


async def listed(admin: Person, **params: Any) -> set[str]:
    answer = await admin.client.get(USERS, params=params)
    assert answer.json()["total"] == len(answer.json()["items"])
    return {user["id"] for user in answer.json()["items"]}


async def test_the_deleted_are_hidden_and_come_back_as_they_were(
    login: Login, client: httpx.AsyncClient
) -> None:
    admin, person = await login("admin"), await login()
    before = (await admin.client.get(f"{USERS}/{person.id}")).json()
    answer = await act(admin, "delete", person.id)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await listed(admin) == {admin.id}
    assert await listed(admin, is_deleted="true") == {person.id}
    problem(await sign_in(client, person.email), 401, "auth_error")
    restored = (await act(admin, "restore", person.id)).json()
    changed = {"updated_at", "version"}
    assert {k: v for k, v in restored.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert (await sign_in(client, person.email)).status_code == 200


async def test_a_user_whose_names_were_taken_cannot_be_restored(
    login: Login, client: httpx.AsyncClient
) -> None:
    admin, person = await login("admin"), await login()
    await admin.client.patch(f"{USERS}/{person.id}", json={"username": "ada"})
    await act(admin, "delete", person.id)
    heir = (await register(client, person.email, username="ada")).json()
    problem(await act(admin, "restore", person.id), 409)
    await admin.client.patch(f"{USERS}/{heir['id']}", json={"username": "eve"})
    problem(await act(admin, "restore", person.id), 409, "users.email_taken")
    await admin.client.patch(
        f"{USERS}/{heir['id']}", json={"username": "ada", "email": "e@example.org"}
    )
    problem(await act(admin, "restore", person.id), 409, "users.username_taken")
    assert await listed(admin, is_deleted="true") == {person.id}
    await act(admin, "erase", heir["id"])
    assert (await act(admin, "restore", person.id)).status_code == 200


@pytest.mark.parametrize("is_deleted_first", [False, True])
async def test_nothing_is_left_of_the_erased(
    login: Login, backstay: Backstay, client: httpx.AsyncClient, is_deleted_first: bool
) -> None:
    admin, person = await login("admin"), await login()
    assert await rows(backstay, Session, person.id) == 1
    assert await rows(backstay, RoleMember, person.id) == 1
    if is_deleted_first:
        await act(admin, "delete", person.id)
    answer = await act(admin, "erase", person.id)
    assert (answer.status_code, answer.content) == (204, b"")
    for entity in (Session, RoleMember):
        assert await rows(backstay, entity, person.id) == 0
    problem(await admin.client.get(f"{USERS}/{person.id}"), 404)
    problem(await act(admin, "restore", person.id), 404)
    assert await listed(admin, is_deleted="true") == set()
    assert (await register(client, person.email)).status_code == 201


@needs("items")
@needs("mail")
@needs("tasks")
async def test_no_job_names_the_erased(login: Login, backstay: Backstay) -> None:
    admin, person, other = await login("admin"), await login(), await login()
    for each in (person, other):
        await settle(backstay)
        task = {"task": "demo.count", "payload": {"seconds": 0}}
        await each.client.post(f"{API}/tasks", json=task)
        await forgot(each.client, each.email)

    async def naming(who: Person) -> set[str]:
        rows = [row for row in await jobs(backstay) if row.user_id == UUID(who.id)]
        rows += [r for r in await jobs(backstay) if who.email in r.payload or who.id in r.payload]
        return {row.name for row in rows}

    kinds = {"CountDemo", "MailResetLink", "MailVerification", "SendMail"}
    assert await naming(person) == await naming(other) == kinds
    assert (await act(admin, "erase", person.id)).status_code == 204
    assert (await naming(person), await naming(other)) == (set(), kinds)
    assert (await act(admin, "erase", other.id)).status_code == 204
    assert await naming(other) == set()


@needs("mail")
async def test_erasing_keeps_mail_for_the_new_owner_of_an_address(
    client: httpx.AsyncClient, login: Login, backstay: Backstay
) -> None:
    admin, person = await login("admin"), await login()
    await act(admin, "delete", person.id)
    assert (await register(client, person.email)).status_code == 201
    await forgot(client, person.email)
    assert (await act(admin, "erase", person.id)).status_code == 204
    assert "MailResetLink" in {row.name for row in await jobs(backstay)}


@needs("items")
async def test_erasing_an_owner_needs_cascade_and_removes_their_rows(login: Login) -> None:
    admin, person, other = await login("admin"), await login(), await login()
    paths = [await own_something(person), await own_something(person)]
    kept = await own_something(other)
    await person.client.delete(paths[1])
    body = problem(await act(admin, "erase", person.id), 409, "users.owns_rows")
    assert "items" in body["detail"]
    assert (await admin.client.get(paths[0])).status_code == 200
    assert (await act(admin, "cascade", person.id)).status_code == 204
    for path in paths:
        problem(await admin.client.get(path), 404)
        problem(await admin.client.post(f"{path}/restore"), 404)
    assert (await admin.client.get(kept)).status_code == 200


KEEPERS = """
CREATE TABLE boats (id INTEGER PRIMARY KEY,
    keeper_id {uuid} REFERENCES users (id), mate_id {uuid} REFERENCES users (id) ON DELETE SET NULL)
"""


@pytest.fixture
async def boats(backstay: Backstay, database_kind: str) -> AsyncIterator[Table]:
    """A table whose foreign keys to an owner and to another user have unusual names."""
    users = Base.metadata.tables["users"].columns.id
    table = Table(
        "boats",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("keeper_id", Uuid, ForeignKey(users)),
        Column("mate_id", Uuid, ForeignKey(users, ondelete="SET NULL")),
    )
    uuid = "CHAR(32)" if database_kind == "sqlite" else "UUID"
    await execute(backstay, text(KEEPERS.format(uuid=uuid)))
    yield table
    Base.metadata.remove(table)


async def test_ownership_follows_the_foreign_key_whatever_its_name(
    login: Login, backstay: Backstay, boats: Table
) -> None:
    admin, keeper, mate = await login("admin"), await login(), await login()
    row = {"id": 1, "keeper_id": UUID(keeper.id), "mate_id": UUID(mate.id)}
    await execute(backstay, insert(boats).values(row))
    assert (await act(admin, "erase", mate.id)).status_code == 204
    (left,) = (await execute(backstay, select(boats))).all()
    assert left._asdict() == {**row, "mate_id": None}
    body = problem(await act(admin, "erase", keeper.id), 409, "users.owns_rows")
    assert "boats" in body["detail"]
    assert (await act(admin, "cascade", keeper.id)).status_code == 204
    assert (await execute(backstay, select(boats))).all() == []


@pytest.fixture
async def oars(backstay: Backstay, boats: Table) -> AsyncIterator[Table]:
    """A table whose rows refer to boats, and not to their keepers."""
    table = Table(
        "oars",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("boat_id", Integer, ForeignKey(boats.c.id)),
    )
    made = "CREATE TABLE oars (id INTEGER PRIMARY KEY, boat_id INTEGER REFERENCES boats (id))"
    await execute(backstay, text(made))
    yield table
    Base.metadata.remove(table)


async def test_what_refers_to_owned_rows_is_named(
    login: Login, backstay: Backstay, boats: Table, oars: Table
) -> None:
    admin, keeper = await login("admin"), await login()
    await execute(backstay, insert(boats).values(id=1, keeper_id=UUID(keeper.id)))
    body = problem(await act(admin, "erase", keeper.id), 409, "users.owns_rows")
    assert "cascade=true removes them" in body["detail"]
    await execute(backstay, insert(oars).values(id=1, boat_id=1))
    for way in ("erase", "cascade"):
        body = problem(await act(admin, way, keeper.id), 409, "users.owns_rows")
        assert "Rows of oars refer to rows of boats: remove those first." in body["detail"]
        assert "cascade" not in body["detail"]
    assert (await execute(backstay, select(boats))).all() != []
    await execute(backstay, delete(oars))
    assert (await act(admin, "cascade", keeper.id)).status_code == 204


@needs("items")
async def test_soft_deleted_rows_still_count_as_owned(login: Login) -> None:
    admin, person = await login("admin"), await login()
    await person.client.delete(await own_something(person))
    problem(await act(admin, "erase", person.id), 409, "users.owns_rows")


@needs("items")
async def test_rows_created_during_an_erasure_never_lose_their_owner(
    login: Login,
) -> None:
    admin, person = await login("admin"), await login()
    created: list[httpx.Response] = []
    erased: list[httpx.Response] = []

    async def create() -> None:
        created.append(await person.client.post(ITEMS, json={"title": "Late"}))

    async def erase() -> None:
        erased.append(await act(admin, "cascade", person.id))

    async with anyio.create_task_group() as group:
        for task in (create, create, erase, create, create):
            group.start_soon(task)
    assert [answer.status_code for answer in erased] == [204]
    assert {answer.status_code for answer in created} <= {201, 401, 409}
    for answer in created:
        if answer.status_code == 201:
            problem(await admin.client.get(answer.headers["location"]), 404)


async def test_cascade_requires_a_hard_delete(login: Login) -> None:
    admin, person = await login("admin"), await login()
    problem(await admin.client.delete(f"{USERS}/{person.id}?cascade=true"), 422, "validation_error")
    assert await listed(admin) == {admin.id, person.id}


async def test_to_erase_needs_two_permissions(login: Login, backstay: Backstay) -> None:
    clerk, person = await login(), await login()
    await grant(backstay, clerk.id, "users:erase")
    for way in ("delete", "erase"):
        problem(await act(clerk, way, person.id), 403, "forbidden")
    janitor = await login()
    await grant(backstay, janitor.id, "users:delete")
    body = problem(await act(janitor, "erase", person.id), 403, "forbidden")
    assert "users:erase" in body["detail"]
    await grant(backstay, janitor.id, "users:erase", Scope.OWN)
    problem(await act(janitor, "erase", person.id), 403, "forbidden")
    assert (await act(janitor, "delete", person.id)).status_code == 204


async def test_a_field_rule_keeps_from_cascading(login: Login, backstay: Backstay) -> None:
    clerk, person = await login(), await login()
    deny = ((Source.QUERY, "cascade", Effect.DENY),)
    await grant(backstay, clerk.id, "users:delete", rules=deny)
    await grant(backstay, clerk.id, "users:erase")
    problem(await act(clerk, "cascade", person.id), 403, "forbidden")
    assert (await act(clerk, "erase", person.id)).status_code == 204
