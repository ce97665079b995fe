"""Shows the ways to name an account and to send a password, and what is refused."""

import httpx
import pytest

from backstay.testing import PASSWORD
from tests.features.steps import AUTH, is_signed_in, register
from tests.web.problems import fields_of, problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

LOGIN = f"{AUTH}/login"
FORM = {"grant_type": "password", "username": "ada", "password": PASSWORD}


@pytest.fixture
async def ada(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client without credentials; Ada has an account."""
    assert (await register(client, "ada@example.org", username="ada")).status_code == 201
    return client


@pytest.mark.parametrize(
    "naming",
    [
        {"email": "ada@example.org"},
        {"email": " ADA@Example.ORG "},
        {"username": "ada"},
        {"username": "Ada"},
        {"login": "ada"},
        {"login": "ada@example.org"},
        {"username": "ada@example.org"},
    ],
)
async def test_an_account_has_several_names(ada: httpx.AsyncClient, naming: dict[str, str]) -> None:
    answer = await ada.post(LOGIN, json={**naming, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == 900


@pytest.mark.parametrize(
    "body",
    [
        {"password": PASSWORD},
        {"email": "ada@example.org", "username": "ada", "password": PASSWORD},
        {"login": "ada"},
        {"login": "", "password": PASSWORD},
        {"login": None, "password": PASSWORD},
        {"login": ["ada"], "password": PASSWORD},
        {"login": "ada", "password": PASSWORD, "transport": "header"},
        {"login": "ada", "password": PASSWORD, "fingerprint": ""},
        {"login": "ada", "password": PASSWORD, "is_superuser": True},
        {"login": "ada", "password": "x" * 16_000},
        ["ada", PASSWORD],
        None,
    ],
)
async def test_a_login_of_another_shape_is_refused(ada: httpx.AsyncClient, body: object) -> None:
    problem(await ada.post(LOGIN, json=body), 422, "validation_error")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 16_000, b'{"login":' + b"9" * 5000 + b"}"]
)
async def test_a_body_that_is_no_json_is_refused(ada: httpx.AsyncClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    body = problem(await ada.post(LOGIN, content=content, headers=headers), 422)
    assert fields_of(body) == {"body": "json_invalid"}


async def test_the_form_of_oauth2_is_understood(ada: httpx.AsyncClient) -> None:
    ignored = {"scope": "read write", "client_id": "docs", "client_secret": "s"}
    answer = await ada.post(LOGIN, data={**FORM, **ignored})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) >= {"access_token", "refresh_token", "refresh_expires_in"}
    assert "set-cookie" not in answer.headers
    assert await is_signed_in(ada, answer.json()["access_token"])


async def test_the_form_takes_an_address_as_username(ada: httpx.AsyncClient) -> None:
    answer = await ada.post(LOGIN, data={**FORM, "username": "Ada@example.org"})
    assert answer.status_code == 200


async def test_the_form_may_omit_the_grant_type(ada: httpx.AsyncClient) -> None:
    answer = await ada.post(LOGIN, data={"username": "ada", "password": PASSWORD})
    assert answer.status_code == 200


async def test_the_media_type_of_the_form_is_case_insensitive(ada: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "Application/X-WWW-Form-URLencoded; charset=UTF-8"}
    content = b"username=ada&password=" + PASSWORD.replace(" ", "+").encode()
    assert (await ada.post(LOGIN, content=content, headers=headers)).status_code == 200


@pytest.mark.parametrize("transport", ["body", "cookie"])
async def test_the_form_may_choose_the_transport(ada: httpx.AsyncClient, transport: str) -> None:
    answer = await ada.post(LOGIN, data={**FORM, "transport": transport})
    assert ("refresh_token" in answer.json()) is (transport == "body")
    assert ("set-cookie" in answer.headers) is (transport == "cookie")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grant_type": "client_credentials"}, "grant_type"),
        ({"is_superuser": "true"}, "is_superuser"),
        ({"username": ""}, "username"),
    ],
)
async def test_another_form_is_refused(
    ada: httpx.AsyncClient, changes: dict[str, str], field: str
) -> None:
    body = problem(await ada.post(LOGIN, data={**FORM, **changes}), 422, "validation_error")
    assert set(fields_of(body)) == {field}


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x"])
async def test_other_media_types_are_refused(ada: httpx.AsyncClient, media_type: str) -> None:
    answer = await ada.post(LOGIN, content=b"x", headers={"Content-Type": media_type})
    problem(answer, 415, "unsupported_media_type")


async def test_spaces_are_a_part_of_the_password(client: httpx.AsyncClient) -> None:
    await register(client, "eve@example.org", password="  spaced out  ")
    naming = {"email": "eve@example.org"}
    right = await client.post(LOGIN, json={**naming, "password": "  spaced out  "})
    assert right.status_code == 200
    problem(await client.post(LOGIN, json={**naming, "password": "spaced out"}), 401)
