"""Shows that every route normalises e-mail addresses to one form."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.features.users.model import User
from backstay.testing import PASSWORD, Login
from tests.features.steps import API, AUTH, ME, bearer, change_user, execute, register, sign_in
from tests.web.environments import STAGING
from tests.web.problems import fields_of, problem
from tests.web.test_docs import basic

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

WRITTEN = ["a@xn--mnchen-3ya.de", "A@München.DE", "a@mu\u0308nchen.de", "\x1ca@XN--MNCHEN-3YA.de"]
STORED = "a@münchen.de"
written = pytest.mark.parametrize("email", WRITTEN, ids=range(len(WRITTEN)))


@written
async def test_an_address_is_stored_and_found_in_one_form(
    client: httpx.AsyncClient, login: Login, email: str
) -> None:
    created = await register(client, email)
    assert created.status_code == 201
    assert created.json()["email"] == STORED
    problem(await register(client, STORED), 409, "users.email_taken")
    admin = (await login("admin")).client
    for other in WRITTEN:
        for naming in ("email", "login", "username"):
            body = {naming: other, "password": PASSWORD}
            assert (await client.post(f"{AUTH}/login", json=body)).status_code == 200
        form = {"username": other, "password": PASSWORD}
        assert (await client.post(f"{AUTH}/login", data=form)).status_code == 200
        for operator in ("email", "email__in"):
            found = (await admin.get(f"{API}/users", params={operator: other})).json()
            assert [user["email"] for user in found["items"]] == [STORED]


@written
async def test_a_changed_address_is_normalised(
    login: Login, client: httpx.AsyncClient, email: str
) -> None:
    person, admin = await login(), (await login("admin")).client
    body = {"email": email, "current_password": PASSWORD}
    assert (await person.client.patch(ME, json=body)).json()["pending_email"] == STORED
    changed = await admin.patch(f"{API}/users/{person.id}", json={"email": email})
    assert changed.json()["email"] == STORED
    assert (await sign_in(client, STORED)).status_code == 200


async def test_a_name_in_front_of_an_address_is_refused(
    client: httpx.AsyncClient, login: Login
) -> None:
    address = "Bob <bob@example.org>"
    body = problem(await register(client, address), 422, "validation_error")
    assert fields_of(body) == {"email": "value_error"}
    assert address not in str(body)
    person = await login()
    change = {"email": address, "current_password": PASSWORD}
    problem(await person.client.patch(ME, json=change), 422, "validation_error")
    assert (await register(client, "bob@example.org")).status_code == 201
    problem(await sign_in(client, address), 401, "auth_error")


async def test_an_address_stored_before_is_reachable(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    """Older versions lower-cased after composing: stored addresses may differ from today's form."""
    user = (await register(client, "h@example.org")).json()
    await change_user(backstay, user["id"], email="h\u0331@example.org")
    assert (await sign_in(client, "H\u0331@example.org")).status_code == 200
    assert (await register(client, "ẖ@example.org")).status_code == 201
    tokens = (await sign_in(client, "ẖ@example.org")).json()
    me = (await client.get(ME, headers=bearer(tokens["access_token"]))).json()
    assert me["id"] != user["id"]


async def test_no_control_character_is_stored(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    for character in ("\x1c", "\x1f", "\x7f", "\x85"):
        await register(client, f"{character}eve@example.org", username=f"{character}eve")
        await register(client, f"e{character}ve@example.org", username=f"e{character}ve")
    rows = (await execute(backstay, select(User.email, User.username))).all()
    assert all(name is None or name.isprintable() for row in rows for name in row)


class TestOfTheAdministrator:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {**STAGING, "ADMIN_EMAIL": WRITTEN[0]}

    async def test_settings_and_docs_login_normalise_addresses_too(
        self, app: FastAPI, backstay: Backstay, client: httpx.AsyncClient, login: Login
    ) -> None:
        assert backstay.settings.admin.email == STORED
        admin = await login("admin")
        await change_user(backstay, admin.id, email=STORED)
        for email in WRITTEN:
            assert (await client.get("/docs", headers=basic(email, PASSWORD))).status_code == 200
