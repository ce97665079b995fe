"""Shows that a session bound to a client's fingerprint is of no use to another client."""

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import Login
from tests.features.steps import AUTH, bearer, is_signed_in, refresh, session_row
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

OTHERS = [{"fingerprint": "another"}, {"fingerprint": "Laptop"}, {"fingerprint": " laptop"}, {}]


@pytest.mark.parametrize("other", OTHERS, ids=["another", "case", "space", "none"])
async def test_another_client_can_neither_refresh_nor_sign_out(
    login: Login, client: httpx.AsyncClient, other: dict[str, str]
) -> None:
    tokens = (await login(fingerprint="laptop")).tokens
    token, access = tokens["refresh_token"], bearer(tokens["access_token"])
    problem(await refresh(client, token, **other), 401, "auth_error")
    body = {"refresh_token": token, **other}
    problem(await client.post(f"{AUTH}/logout", json=body), 401, "auth_error")
    problem(await client.post(f"{AUTH}/logout", json=other, headers=access), 401, "auth_error")
    assert await is_signed_in(client, tokens["access_token"])
    assert (await refresh(client, token, fingerprint="laptop")).status_code == 200


async def test_the_right_client_signs_out(login: Login, client: httpx.AsyncClient) -> None:
    tokens = (await login(fingerprint="laptop")).tokens
    body = {"refresh_token": tokens["refresh_token"], "fingerprint": "laptop"}
    assert (await client.post(f"{AUTH}/logout", json=body)).status_code == 204
    assert not await is_signed_in(client, tokens["access_token"])


async def test_the_binding_lasts_over_rotations(login: Login, client: httpx.AsyncClient) -> None:
    token = (await login(fingerprint="laptop")).tokens["refresh_token"]
    for _ in range(3):
        token = (await refresh(client, token, fingerprint="laptop")).json()["refresh_token"]
    problem(await refresh(client, token), 401)


async def test_a_session_without_fingerprint_takes_any(
    login: Login, client: httpx.AsyncClient
) -> None:
    token = (await login()).tokens["refresh_token"]
    assert (await refresh(client, token, fingerprint="whatever")).status_code == 200


async def test_the_fingerprint_is_not_stored_as_it_is(login: Login, backstay: Backstay) -> None:
    one, two = await login(fingerprint="laptop"), await login(fingerprint="laptop")
    rows = [await session_row(backstay, who.tokens["session_id"]) for who in (one, two)]
    assert rows[0].fingerprint_hash != rows[1].fingerprint_hash
    assert all(len(row.fingerprint_hash) == 32 for row in rows)
