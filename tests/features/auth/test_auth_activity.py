"""Shows that the audit trail records every sign-in and its end, and no requests of strangers."""

from uuid import UUID

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import PASSWORD, FrozenClock, Login
from tests.features.steps import (
    API,
    AUTH,
    OTHER_PASSWORD,
    Trail,
    change_user,
    refresh,
    register,
    said,
    sign_in,
)

pytestmark = pytest.mark.anyio


async def test_rows_of_sign_in_and_refresh_name_the_account(
    client: httpx.AsyncClient, trail: Trail, clock: FrozenClock
) -> None:
    user = (await register(client, "ann@example.org")).json()
    await trail()
    await sign_in(client, "ann@example.org", password="not the password")
    tokens = (await sign_in(client, "ann@example.org")).json()
    newer = (await refresh(client, tokens["refresh_token"])).json()
    headers = {"Authorization": f"Bearer {newer['access_token']}"}
    await client.post(f"{AUTH}/logout", json={"refresh_token": newer["refresh_token"]})
    rows = await trail()
    assert said(rows) == [
        ("Login", "refused", "auth_error"),
        ("Login", "ok", None),
        ("RefreshSession", "ok", None),
        ("Logout", "ok", None),
    ]
    assert {(row.user_id, row.actor) for row in rows} == {(UUID(user["id"]), "anonymous")}
    session = UUID(tokens["session_id"])
    assert [row.session_id for row in rows] == [None, session, session, session]
    assert (await client.get(f"{API}/users/me", headers=headers)).status_code == 401
    assert await trail() == []


async def test_the_reuse_of_a_token_is_recorded_once(
    client: httpx.AsyncClient, login: Login, trail: Trail, clock: FrozenClock
) -> None:
    person = await login()
    await refresh(client, person.tokens["refresh_token"])
    await trail()
    clock.forward(seconds=60)
    assert (await refresh(client, person.tokens["refresh_token"])).status_code == 401
    (row,) = await trail()
    assert said([row]) == [("RefreshSession", "refused", "auth_error")]
    assert (row.user_id, row.session_id) == (
        UUID(person.id),
        UUID(person.tokens["session_id"]),
    )


async def test_a_blocked_account_that_is_tried_is_named(
    client: httpx.AsyncClient, login: Login, trail: Trail, backstay: Backstay
) -> None:
    person = await login()
    await change_user(backstay, person.id, blocked_at=backstay.clock())
    await trail()
    await sign_in(client, person.email)
    (row,) = await trail()
    assert (row.user_id, row.outcome) == (UUID(person.id), "refused")


async def test_ends_of_sessions_and_a_password_change_are_recorded(
    client: httpx.AsyncClient, login: Login, trail: Trail
) -> None:
    person = await login()
    other = (await sign_in(client, person.email)).json()["session_id"]
    await trail()
    wrong = {"current_password": "not the password", "new_password": OTHER_PASSWORD}
    right = wrong | {"current_password": PASSWORD}
    await person.client.delete(f"{AUTH}/sessions/{other}")
    for body in (wrong, right):
        await person.client.post(f"{AUTH}/password/change", json=body)
    await person.client.delete(f"{AUTH}/sessions")
    rows = await trail()
    assert said(rows) == [
        ("EndSession", "ok", None),
        ("ChangePassword", "refused", "users.wrong_password"),
        ("ChangePassword", "ok", None),
        ("EndSessions", "ok", None),
    ]
    assert rows[0].targets == {"id": other}
    assert {row.user_id for row in rows} == {UUID(person.id)}


async def test_requests_about_unknown_accounts_leave_no_row(
    client: httpx.AsyncClient, trail: Trail
) -> None:
    for number in range(3):
        assert (await sign_in(client, f"nobody{number}@example.org")).status_code == 401
        assert (await refresh(client, f"nonsense{number}")).status_code == 401
        assert (await client.get(f"{API}/users/me")).status_code == 401
        assert (await client.delete(f"{AUTH}/sessions")).status_code == 401
        await client.post(f"{AUTH}/logout", json={"refresh_token": "nonsense"})
    assert await trail() == []
