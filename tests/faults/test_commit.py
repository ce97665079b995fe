"""Shows that a change that could not be saved is never answered as a success."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from backstay.composition import Backstay
from tests.faults.conftest import Running
from tests.features.steps import API, AUTH, ME, execute, needs, refresh, register
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]

REFUSAL = {
    "sqlite": [
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL"
        " REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER refuse_{table} AFTER {event} ON {table}"
        " BEGIN INSERT INTO children (parent) VALUES (1); END",
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '{state}'; END $$",
        "CREATE CONSTRAINT TRIGGER refuse_{table} AFTER {event} ON {table}"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}


class FailingCommit:
    """Makes every commit fail that inserts into (or updates) a table: at COMMIT, not before."""

    def __init__(self, backstay: Backstay, kind: str, state: str = "23503") -> None:
        self._backstay = backstay
        self._kind = kind
        self._state = state

    async def on(self, table: str, event: str = "INSERT") -> None:
        for statement in REFUSAL[self._kind]:
            sql = statement.format(table=table, event=event, state=self._state)
            await execute(self._backstay, text(sql))

    async def off(self, table: str) -> None:
        suffix = f" ON {table}" if self._kind == "postgresql" else ""
        await execute(self._backstay, text(f"DROP TRIGGER refuse_{table}{suffix}"))


@pytest.fixture
def refusal(running: Running, database_kind: str) -> FailingCommit:
    return FailingCommit(running.backstay, database_kind)


def failed(answer: httpx.Response) -> dict[str, Any]:
    """Assert that the answer is an error and reveals no internals."""
    body = problem(answer, 500, "db_error")
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert "etag" not in answer.headers
    for internal in ("refuse", "not today", "FOREIGN KEY", "INSERT", "constraint"):
        assert internal not in answer.text
    return body


async def test_a_creation_that_cannot_be_saved_is_no_creation(
    running: Running, refusal: FailingCommit
) -> None:
    await refusal.on("items")
    failed(await running.create())
    assert await running.titles() == []
    await refusal.off("items")
    assert (await running.create("Octant")).status_code == 201
    assert await running.titles() == ["Octant"]


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_commit_that_was_ended_may_be_tried_again(running: Running) -> None:
    """By an operator, or by its timeout: the state is that of a cancelled statement."""
    path = (await running.create()).headers["location"]
    await FailingCommit(running.backstay, "postgresql", "57014").on("items", "UPDATE")
    answer = await running.client.delete(path)
    assert problem(answer, 503, "db_timeout")
    assert answer.headers["Retry-After"] == "1"
    assert await running.titles() == ["Sextant"]


async def test_a_change_that_cannot_be_saved_is_no_change(
    running: Running, refusal: FailingCommit
) -> None:
    path = (await running.create()).headers["location"]
    await refusal.on("items", "UPDATE")
    client = running.client
    failed(await client.patch(path, json={"title": "Octant"}))
    failed(await client.put(path, json={"title": "Octant"}))
    failed(await client.delete(path))
    assert await running.titles() == ["Sextant"]
    assert (await client.get(path)).json()["version"] == 1


async def test_nothing_of_a_failed_registration_is_kept(
    running: Running, refusal: FailingCommit
) -> None:
    await refusal.on("role_members")
    failed(await register(running.client, "ada@example.org"))
    await refusal.off("role_members")
    answer = await register(running.client, "ada@example.org")
    assert answer.status_code == 201
    assert answer.json()["roles"] == ["user"]


async def test_a_failed_sign_in_hands_out_no_token(
    running: Running, refusal: FailingCommit
) -> None:
    await refusal.on("sessions")
    body = {"email": "admin@example.com", "password": "correct horse battery"}
    failed(await running.client.post(f"{AUTH}/login", json=body))
    listed = await running.client.get(f"{AUTH}/sessions")
    assert len(listed.json()["items"]) == 1


async def test_a_token_whose_rotation_failed_is_still_good(
    running: Running, refusal: FailingCommit
) -> None:
    body = {"email": "admin@example.com", "password": "correct horse battery", "transport": "body"}
    token = (await running.client.post(f"{AUTH}/login", json=body)).json()["refresh_token"]
    await refusal.on("sessions", "UPDATE")
    failed(await refresh(running.client, token))
    await refusal.off("sessions")
    answer = await refresh(running.client, token)
    assert answer.status_code == 200
    again = await refresh(running.client, answer.json()["refresh_token"])
    assert again.status_code == 200


async def test_a_failed_sign_out_leaves_one_signed_in(
    running: Running, refusal: FailingCommit
) -> None:
    await refusal.on("sessions", "UPDATE")
    failed(await running.client.delete(f"{AUTH}/sessions", params={"all": "true"}))
    assert (await running.client.get(ME)).status_code == 200


async def test_a_profile_that_cannot_be_saved_is_shown_as_before(
    running: Running, refusal: FailingCommit
) -> None:
    before = (await running.client.get(ME)).json()
    await refusal.on("users", "UPDATE")
    failed(await running.client.patch(ME, json={"name": "Ada"}))
    assert (await running.client.get(ME)).json() == before
    assert (await running.client.get(f"{API}/items")).status_code == 200
