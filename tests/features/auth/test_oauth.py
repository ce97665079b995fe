"""Shows that OAuth2 libraries work: token requests as forms, answers and errors of RFC 6749."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.testing import ADMIN_EMAIL, PASSWORD, FrozenClock, Login
from tests.features.steps import AUTH, bearer, change_user, client_at, is_signed_in, register
from tests.web.problems import fields_of, problem, stream

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

LOGIN, REFRESH = f"{AUTH}/login", f"{AUTH}/refresh"
SIGN_IN = {"grant_type": "password", "username": ADMIN_EMAIL, "password": PASSWORD}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EVIL = {"Origin": "https://evil.example"}


def renewal(token: str, **fields: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token, **fields}


def refused(answer: httpx.Response, status: int, error: str) -> dict[str, Any]:
    """Assert an error of RFC 6749, 5.2; return the problem."""
    body = problem(answer, status)
    assert body["error"] == error
    assert answer.headers["cache-control"] == "no-store"
    return body


def granted(answer: httpx.Response) -> dict[str, Any]:
    """Assert a token answer of RFC 6749, 5.1; return it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    body: dict[str, Any] = answer.json()
    assert body["token_type"].lower() == "bearer"
    assert isinstance(body["expires_in"], int)
    assert body["access_token"]
    assert body["refresh_token"]
    return body


async def test_a_library_signs_in_and_refreshes_by_forms(client: httpx.AsyncClient) -> None:
    ignored = {"scope": "read write", "client_id": "app", "client_secret": "s"}
    basic = httpx.BasicAuth("app", "s")
    first = granted(await client.post(LOGIN, data={**SIGN_IN, **ignored}, auth=basic))
    form = renewal(first["refresh_token"], **ignored)
    second = granted(await client.post(REFRESH, data=form, auth=basic))
    assert set(second) == set(first)
    assert second["session_id"] == first["session_id"]
    assert second["refresh_token"] != first["refresh_token"]
    assert await is_signed_in(client, second["access_token"])


async def test_a_fingerprint_may_be_a_part_of_the_form(client: httpx.AsyncClient) -> None:
    first = granted(await client.post(LOGIN, data={**SIGN_IN, "fingerprint": "mine"}))
    token = first["refresh_token"]
    for form in (renewal(token), renewal(token, fingerprint="another")):
        refused(await client.post(REFRESH, data=form), 401, "invalid_grant")
    granted(await client.post(REFRESH, data=renewal(token, fingerprint="mine")))


async def test_a_refused_sign_in_is_an_invalid_grant(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    for name, column in (("blocked", "blocked_at"), ("deleted", "deleted_at")):
        user = (await register(client, f"{name}@example.org")).json()
        await change_user(backstay, user["id"], **{column: utc_now()})
    guesses = {ADMIN_EMAIL: "not the password", "nobody": PASSWORD}
    for username in ("blocked@example.org", "deleted@example.org"):
        guesses[username] = PASSWORD
    told = set()
    for username, password in guesses.items():
        form = {**SIGN_IN, "username": username, "password": password}
        answer = await client.post(LOGIN, data=form)
        body = refused(answer, 401, "invalid_grant")
        told.add((body["error_description"], answer.headers["www-authenticate"]))
    assert told == {("Wrong login or password", "Bearer")}


class TestWhereAddressesAreVerified:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SECURITY_REQUIRE_VERIFIED_EMAIL": "true"}

    async def test_an_unverified_account_is_an_invalid_grant(
        self, client: httpx.AsyncClient
    ) -> None:
        await register(client, "ada@example.org")
        answer = await client.post(LOGIN, data={**SIGN_IN, "username": "ada@example.org"})
        body = refused(answer, 403, "invalid_grant")
        assert body["code"] == "auth.email_unverified"


@pytest.mark.parametrize(
    ("path", "form", "fields"),
    [
        (LOGIN, {}, {"password", "body"}),
        (LOGIN, {"grant_type": "password"}, {"password"}),
        (LOGIN, {"username": "ada"}, {"password"}),
        (LOGIN, {"password": PASSWORD}, {"body"}),
        (LOGIN, {**SIGN_IN, "is_superuser": "true"}, {"is_superuser"}),
        (LOGIN, {**SIGN_IN, 'nä"m\\e\n': "x"}, {'nä"m\\e\n'}),
        (LOGIN, {**SIGN_IN, "transport": "header"}, {"transport"}),
        (LOGIN, {**SIGN_IN, "username": [ADMIN_EMAIL, "eve"]}, {"username"}),
        (LOGIN, {**SIGN_IN, "username": "eve", "login": ADMIN_EMAIL}, {"body"}),
        (LOGIN, {**SIGN_IN, "username": "eve", "email": ADMIN_EMAIL}, {"body"}),
        (LOGIN, {**SIGN_IN, "grant_type": ["password", "password"]}, {"grant_type"}),
        (LOGIN, {**SIGN_IN, "client_id": ["a", "b"]}, {"client_id"}),
        (REFRESH, {}, {"grant_type"}),
        (REFRESH, {"refresh_token": "x"}, {"grant_type"}),
        (REFRESH, {"grant_type": "refresh_token"}, {"refresh_token"}),
        (REFRESH, renewal(""), {"refresh_token"}),
        (REFRESH, {**renewal("x"), "token": "y"}, {"token"}),
        (REFRESH, {**renewal("x"), "refresh_token": ["x", "x"]}, {"refresh_token"}),
    ],
)
async def test_missing_unknown_and_repeated_fields_are_an_invalid_request(
    client: httpx.AsyncClient, path: str, form: dict[str, Any], fields: set[str]
) -> None:
    body = refused(await client.post(path, data=form, headers=FORM), 422, "invalid_request")
    assert set(fields_of(body)) <= fields
    assert body["errors"]


@pytest.mark.parametrize(
    ("path", "grant_type"),
    [
        (LOGIN, "client_credentials"),
        (LOGIN, "authorization_code"),
        (LOGIN, "refresh_token"),
        (LOGIN, "Password"),
        (REFRESH, "password"),
        (REFRESH, "urn:ietf:params:oauth:grant-type:token-exchange"),
    ],
)
async def test_every_other_grant_type_is_unsupported(
    client: httpx.AsyncClient, path: str, grant_type: str
) -> None:
    form = {**SIGN_IN, **renewal("x"), "grant_type": grant_type}
    body = refused(await client.post(path, data=form), 422, "unsupported_grant_type")
    assert fields_of(body) == {"grant_type": "literal_error"}
    assert body["error_description"].startswith("grant_type: ")


async def test_an_invalid_refresh_token_is_an_invalid_grant(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock, backstay: Backstay
) -> None:
    async def refuse(token: str) -> None:
        body = refused(await client.post(REFRESH, data=renewal(token)), 401, "invalid_grant")
        assert body["error_description"] == "The session has ended or the token is not valid"

    people = [await login() for _ in range(5)]
    reused, ended, blocked, access, expired = (person.tokens for person in people)
    await refuse("garbage")
    await refuse(access["access_token"])
    await client.post(f"{AUTH}/logout", json={"refresh_token": ended["refresh_token"]})
    await refuse(ended["refresh_token"])
    await change_user(backstay, people[2].id, blocked_at=utc_now())
    await refuse(blocked["refresh_token"])
    newer = granted(await client.post(REFRESH, data=renewal(reused["refresh_token"])))
    clock.forward(seconds=60)
    await refuse(reused["refresh_token"])
    await refuse(newer["refresh_token"])
    clock.forward(days=8)
    await refuse(expired["refresh_token"])


async def test_a_form_cannot_refresh_with_the_cookie_alone(client: httpx.AsyncClient) -> None:
    """Another site can send a form without a CORS preflight, so the token must be in the form."""
    signed_in = await client.post(LOGIN, json={"email": ADMIN_EMAIL, "password": PASSWORD})
    cookie = signed_in.cookies["refresh_token"]
    for headers in ({}, EVIL, {"Origin": "http://testserver"}, bearer(cookie)):
        for form in ({}, {"grant_type": "refresh_token"}):
            answer = await client.post(REFRESH, data=form, headers={**FORM, **headers})
            refused(answer, 422, "invalid_request")
            assert "set-cookie" not in answer.headers
        answer = await client.post(REFRESH, data=renewal("garbage"), headers=headers)
        refused(answer, 401, "invalid_grant")
        assert "set-cookie" not in answer.headers
    problem(await client.post(REFRESH, headers=EVIL), 403, "forbidden")
    assert client.cookies["refresh_token"] == cookie
    assert (await client.post(REFRESH)).status_code == 200


async def test_a_form_of_another_site_cannot_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.post(LOGIN, data={**SIGN_IN, "transport": "cookie"}, headers=EVIL)
    refused(answer, 403, "unauthorized_client")


@pytest.mark.parametrize("path", [LOGIN, REFRESH])
async def test_a_form_too_large_or_encoded_is_an_invalid_request(
    client: httpx.AsyncClient, path: str
) -> None:
    known_length = client.post(path, content=b"x" * 20_000, headers=FORM)
    refused(await known_length, 413, "invalid_request")
    refused(await client.post(path, content=stream(20_000), headers=FORM), 413, "invalid_request")
    zipped = client.post(path, content=b"x", headers={**FORM, "Content-Encoding": "gzip"})
    refused(await zipped, 415, "invalid_request")
    many = {f"field{number}": "x" for number in range(21)}
    refused(await client.post(path, data=many), 400, "invalid_request")
    asked = client.post(f"{path}?scope=x", data=SIGN_IN)
    refused(await asked, 422, "invalid_request")


class TestWithLimits:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true"}

    @pytest.mark.parametrize(("path", "most"), [(LOGIN, 5), (REFRESH, 10)])
    async def test_too_many_requests_get_429_with_retry_after(
        self, app: FastAPI, path: str, most: int
    ) -> None:
        async with client_at(app, "198.51.100.1") as client:
            for _ in range(most):
                refused(await client.post(path, headers=FORM), 422, "invalid_request")
            answer = await client.post(path, headers=FORM)
        refused(answer, 429, "temporarily_unavailable")
        assert int(answer.headers["retry-after"]) >= 1


async def test_forms_are_recognised_in_any_spelling_of_their_media_type(
    client: httpx.AsyncClient,
) -> None:
    headers = {"Content-Type": "Application/X-WWW-Form-URLencoded ; charset=UTF-8"}
    answer = await client.post(REFRESH, content=b"grant_type=refresh_token", headers=headers)
    refused(answer, 422, "invalid_request")
    for path in (LOGIN, REFRESH):  # what is no form is told as before, as `problem` sees to
        problem(await client.post(path, json={"nope": 1}), 422, "validation_error")
        headers = {"Content-Type": "application/x-www-form-urlencodedly"}
        problem(await client.post(path, content=b"x", headers=headers), 415)
