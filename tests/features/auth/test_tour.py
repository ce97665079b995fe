"""Shows a whole visit from registration to sign-out, by a browser and by a program."""

import httpx
import pytest

from backstay.testing import PASSWORD
from tests.features.steps import (
    API,
    AUTH,
    ME,
    bearer,
    is_signed_in,
    needs,
    refresh,
    register,
    sign_in,
)
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


@needs("items")
async def test_a_program_registers_works_refreshes_and_leaves(client: httpx.AsyncClient) -> None:
    registered = await register(client, "ada@example.org", name="Ada")
    assert registered.status_code == 201
    assert registered.headers["location"] == f"{API}/users/{registered.json()['id']}"
    first = (await sign_in(client, "ada@example.org")).json()
    me = await client.get(ME, headers=bearer(first["access_token"]))
    assert (me.json()["id"], me.json()["name"]) == (registered.json()["id"], "Ada")
    await _work_on_an_item(client, first["access_token"])
    second = (await refresh(client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["session_id"] == first["session_id"]
    left = await client.post(f"{AUTH}/logout", json={"refresh_token": second["refresh_token"]})
    assert (left.status_code, left.content) == (204, b"")
    for tokens in (first, second):
        assert not await is_signed_in(client, tokens["access_token"])
        problem(await refresh(client, tokens["refresh_token"]), 401, "auth_error")


async def _work_on_an_item(client: httpx.AsyncClient, token: str) -> None:
    created = await client.post(f"{API}/items", json={"title": "Sextant"}, headers=bearer(token))
    assert created.status_code == 201
    path = created.headers["location"]
    assert path == f"{API}/items/{created.json()['id']}"
    read = await client.get(path, headers=bearer(token))
    assert read.json() == created.json()
    tag = read.headers["etag"]
    assert tag == created.headers["etag"]
    again = await client.get(path, headers={**bearer(token), "If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    changed = await client.patch(
        path, json={"description": "brass"}, headers={**bearer(token), "If-Match": tag}
    )
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    stale = await client.patch(
        path, json={"title": "Octant"}, headers={**bearer(token), "If-Match": tag}
    )
    problem(stale, 412, "precondition_failed")


async def test_a_browser_keeps_its_refresh_token_in_a_cookie(client: httpx.AsyncClient) -> None:
    await register(client, "ada@example.org")
    body = {"email": "ada@example.org", "password": PASSWORD}
    first = await client.post(f"{AUTH}/login", json=body)
    assert set(first.json()) == {"access_token", "token_type", "expires_in", "session_id"}
    kept = client.cookies["refresh_token"]
    second = await client.post(f"{AUTH}/refresh")
    assert set(second.json()) == set(first.json())
    assert client.cookies["refresh_token"] != kept
    left = await client.post(f"{AUTH}/logout")
    assert left.status_code == 204
    assert "refresh_token" not in client.cookies
    assert not await is_signed_in(client, second.json()["access_token"])
    problem(await client.post(f"{AUTH}/refresh"), 401, "auth_error")
