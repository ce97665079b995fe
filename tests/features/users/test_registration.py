"""Shows how an account is registered, once, without fields that a user may not choose."""

from collections import Counter
from typing import Any

import anyio
import httpx
import pytest

from backstay.testing import ADMIN_EMAIL, PASSWORD, Login
from tests.features.steps import API, ME, bearer, register, sign_in
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

ADA = "ada@example.org"
sqlite_only = pytest.mark.parametrize("database_kind", ["sqlite"])


async def test_a_new_user_is_nobody_special(client: httpx.AsyncClient) -> None:
    answer = await register(client, " Ada@Example.ORG ", username="Ada.L-1", name=" Ada ")
    assert answer.status_code == 201
    user = answer.json()
    assert answer.headers["location"] == f"{API}/users/{user['id']}"
    assert (user["email"], user["username"], user["name"]) == (ADA, "ada.l-1", "Ada")
    assert user["roles"] == ["user"]
    assert not any(user[state] for state in ("is_blocked", "is_deleted", "email_verified"))
    assert user["created_at"].endswith("Z")
    assert "password" not in answer.text
    tokens = (await sign_in(client, ADA)).json()
    me = (await client.get(ME, headers=bearer(tokens["access_token"]))).json()
    assert not me["is_superuser"]
    assert {
        key: scope for key, scope in me["permissions"].items() if key.startswith("users:")
    } == {}
    assert me["permissions"]["items:update"] == "OWN"


@pytest.mark.parametrize("email", [ADA, "ADA@example.org", "Ada@EXAMPLE.ORG", ADMIN_EMAIL])
async def test_an_address_is_taken_in_any_case(client: httpx.AsyncClient, email: str) -> None:
    await register(client, ADA)
    body = problem(await register(client, email), 409, "users.email_taken")
    assert email not in body["detail"]


async def test_a_username_is_taken_in_any_case(client: httpx.AsyncClient) -> None:
    await register(client, ADA, username="ada")
    for username in ("ada", "ADA"):
        answer = await register(client, "eve@example.org", username=username)
        problem(answer, 409, "users.username_taken")
    assert (await register(client, "eve@example.org", username="ada2")).status_code == 201


async def test_many_have_no_username(client: httpx.AsyncClient) -> None:
    for number in range(3):
        assert (await register(client, f"p{number}@example.org")).status_code == 201


@pytest.mark.parametrize("same", ["email", "username"])
async def test_of_twenty_concurrent_registrations_one_gets_the_name(
    client: httpx.AsyncClient, same: str
) -> None:
    answers: list[httpx.Response] = []

    async def one(number: int) -> None:
        email = ADA if same == "email" else f"p{number}@example.org"
        username = "ada" if same == "username" else f"ada{number}"
        answers.append(await register(client, email, username=username))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    codes = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert codes == {f"users.{same}_taken"}
    (winner,) = (answer.json() for answer in answers if answer.status_code == 201)
    assert (await sign_in(client, winner["email"])).status_code == 200


async def test_a_deleted_users_names_are_free_again(
    client: httpx.AsyncClient, login: Login
) -> None:
    gone = await login()
    await gone.client.patch(ME, json={"username": "ada"})
    body = {"current_password": PASSWORD}
    assert (await gone.client.request("DELETE", ME, json=body)).status_code == 204
    again = await register(client, gone.email, username="ada")
    assert again.status_code == 201
    assert again.json()["id"] != gone.id
    tokens = (await sign_in(client, gone.email)).json()
    me = (await client.get(ME, headers=bearer(tokens["access_token"]))).json()
    assert me["id"] == again.json()["id"]


@sqlite_only
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("is_superuser", True),
        ("id", "01a1fdc6-0000-7000-8000-000000000000"),
        ("version", 7),
        ("password_hash", "x"),
        ("roles", ["admin"]),
        ("role", "admin"),
        ("email_verified", True),
        ("email_verified_at", "2020-01-01T00:00:00Z"),
        ("pending_email", "x@example.org"),
        ("blocked_at", None),
        ("security_epoch", 5),
        ("created_by", None),
        ("permission", "public"),
        ("model_config", {}),
    ],
)
async def test_nothing_else_can_be_chosen(
    client: httpx.AsyncClient, login: Login, field: str, value: Any
) -> None:
    body = problem(await register(client, ADA, **{field: value}), 422, "validation_error")
    assert fields_of(body) == {field: "extra_forbidden"}
    problem(await sign_in(client, ADA), 401)
    person = await login()
    body = problem(await person.client.patch(ME, json={field: value}), 422)
    assert fields_of(body) == {field: "extra_forbidden"}


@sqlite_only
@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": None}, "email"),
        ({"email": 5}, "email"),
        ({"email": "a@" + "b." * 150 + "org"}, "email"),
        ({"username": "ab"}, "username"),
        ({"username": "a" * 33}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "ada@example.org"}, "username"),
        ({"username": "ädä"}, "username"),
        ({"username": "a\nda"}, "username"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_names_have_a_form(
    client: httpx.AsyncClient, fields: dict[str, Any], faulty: str
) -> None:
    answer = await client.post(f"{API}/users", json={"email": ADA, "password": PASSWORD, **fields})
    assert set(fields_of(problem(answer, 422, "validation_error"))) == {faulty}


@sqlite_only
@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("1234567", "string_too_short"),
        ("", "string_too_short"),
        ("x" * 129, "string_too_long"),
        ("é" * 129, "string_too_long"),
        ("x" * 16_000, "string_too_long"),
        ("password", "common_password"),
        ("PassWord", "common_password"),
        ("football1", "common_password"),
        ("        ", "common_password"),
        ("Dorothea", "personal_password"),
        ("my dorothea!", "personal_password"),
        (12345678, "string_type"),
        (None, "string_type"),
        (["correct horse"], "string_type"),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_a_bad_password_is_refused(
    client: httpx.AsyncClient, password: Any, code: str
) -> None:
    answer = await register(client, "dorothea@example.org", password=password)
    body = problem(answer, 422, "validation_error")
    assert fields_of(body) == {"password": code}
    assert len(answer.content) < 1000


@sqlite_only
@pytest.mark.parametrize(
    "password",
    ["aB3$5678", "x y" + "z" * 125, "éü" * 64, "  led by spaces ", "😀" * 7 + "🐎", "bob is me!"],
    ids=range(6),
)
async def test_a_good_password_works_as_it_is(client: httpx.AsyncClient, password: str) -> None:
    assert (await register(client, "bob@example.org", password=password)).status_code == 201
    assert (await sign_in(client, "bob@example.org", password=password)).status_code == 200
    for other in (password[:-1], password[1:], password.swapcase(), f"{password[:-1]}?"):
        if other != password:
            problem(await sign_in(client, "bob@example.org", password=other), 401)


class TestClosed:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SECURITY_REGISTRATION": "closed"}

    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    async def test_closed_registration_refuses_everybody(self, client: httpx.AsyncClient) -> None:
        problem(await register(client, ADA), 403, "users.registration_closed")
        problem(await register(client, ADMIN_EMAIL), 403, "users.registration_closed")
        problem(await sign_in(client, ADA), 401)


class TestUnverified:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SECURITY_REQUIRE_VERIFIED_EMAIL": "true"}

    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    async def test_only_the_right_password_reveals_a_missing_confirmation(
        self, client: httpx.AsyncClient
    ) -> None:
        await register(client, ADA)
        problem(await sign_in(client, ADA), 403, "auth.email_unverified")
        problem(await sign_in(client, ADA, password="wrong password"), 401, "auth_error")
