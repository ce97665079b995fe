"""Shows how a refresh token is sent and returned, and that other sites cannot use the cookie."""

import httpx
import pytest
from fastapi import FastAPI

from backstay.testing import ADMIN_EMAIL, PASSWORD, Login
from tests.features.steps import AUTH, bearer, client_at, is_signed_in, register, sign_in
from tests.web.environments import STAGING
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

OWN, ALLOWED = "http://testserver", "http://localhost:5173"


@pytest.fixture
async def browser(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that is signed in with a cookie."""
    await register(client, "ada@example.org")
    answer = await sign_in(client, "ada@example.org", transport="cookie")
    assert answer.status_code == 200
    client.headers["X-Access"] = answer.json()["access_token"]
    return client


def attributes(answer: httpx.Response, name: str = "refresh_token") -> dict[str, str]:
    """The attributes of the one cookie of this name that an answer sets, lower-cased."""
    set_cookies = answer.headers.get_list("set-cookie")
    (cookie,) = [each for each in set_cookies if each.startswith(f"{name}=")]
    parts = [part.partition("=") for part in cookie.lower().split("; ")]
    return {name: value for name, _, value in parts}


async def test_json_gets_a_cookie_unless_it_asks_for_the_body(client: httpx.AsyncClient) -> None:
    await register(client, "ada@example.org")
    body = {"email": "ada@example.org", "password": PASSWORD}
    answer = await client.post(f"{AUTH}/login", json=body)
    cookie = attributes(answer)
    assert cookie["path"] == AUTH
    assert cookie["samesite"] == "lax"
    assert cookie["max-age"] == "604800"
    assert "httponly" in cookie
    assert not {"secure", "domain"} & set(cookie)
    assert cookie["refresh_token"] not in answer.text.lower()
    device = attributes(answer, "device")
    assert device["max-age"] == str(180 * 86400)
    alike = ("path", "samesite", "httponly")
    assert [device[name] for name in alike] == [cookie[name] for name in alike]
    assert not {"secure", "domain"} & set(device)
    in_body = await client.post(f"{AUTH}/login", json={**body, "transport": "body"})
    assert "set-cookie" not in in_body.headers
    assert in_body.json()["refresh_expires_in"] == 604800


class TestOutsideLocal:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return STAGING

    async def test_the_cookie_is_secure(self, client: httpx.AsyncClient) -> None:
        await register(client, "ada@example.org")
        answer = await sign_in(client, "ada@example.org", transport="cookie")
        assert "secure" in attributes(answer)
        assert "secure" in attributes(answer, "device")


async def test_no_answer_with_tokens_may_be_stored(client: httpx.AsyncClient) -> None:
    await register(client, "ada@example.org")
    answer = await sign_in(client, "ada@example.org")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_token_in_the_body_is_answered_in_the_body(login: Login) -> None:
    ada = await login()
    answer = await ada.client.post(
        f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]}
    )
    assert answer.json()["refresh_token"]
    assert "set-cookie" not in answer.headers


async def test_a_token_in_the_header_is_answered_in_the_body(login: Login) -> None:
    ada = await login()
    answer = await ada.client.post(f"{AUTH}/refresh", headers=bearer(ada.tokens["refresh_token"]))
    assert answer.json()["refresh_token"]
    assert "set-cookie" not in answer.headers


async def test_a_token_in_the_cookie_is_answered_in_the_cookie(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(f"{AUTH}/refresh", json={})
    assert "refresh_token" not in answer.json()
    assert attributes(answer)["path"] == AUTH


async def test_body_beats_header_and_header_beats_cookie(app: FastAPI, login: Login) -> None:
    tokens = [(await login()).tokens for _ in range(3)]
    in_body, in_header, in_cookie = tokens
    client = client_at(app, "192.0.2.1")
    client.cookies.set("refresh_token", in_cookie["refresh_token"])
    headers = bearer(in_header["refresh_token"])
    body = {"refresh_token": in_body["refresh_token"]}
    for expected, arguments in (
        (in_body, {"headers": headers, "json": body}),
        (in_header, {"headers": headers}),
        (in_cookie, {}),
    ):
        answer = await client.post(f"{AUTH}/refresh", **arguments)
        assert answer.json()["session_id"] == expected["session_id"]
    await client.aclose()


async def test_an_access_token_sent_along_does_not_hide_the_cookie(
    browser: httpx.AsyncClient,
) -> None:
    headers = bearer(browser.headers["X-Access"])
    answer = await browser.post(f"{AUTH}/refresh", headers=headers)
    assert answer.status_code == 200, answer.text
    assert "set-cookie" in answer.headers


async def test_a_refused_refresh_leaves_the_cookie_alone(browser: httpx.AsyncClient) -> None:
    await browser.post(f"{AUTH}/logout", headers=bearer(browser.headers["X-Access"]))
    browser.cookies.set("refresh_token", "gone")
    answer = await browser.post(f"{AUTH}/refresh")
    problem(answer, 401, "auth_error")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("origin", [OWN, "HTTP://TestServer", "https://testserver", ALLOWED, None])
async def test_own_and_allowed_origins_may_use_the_cookie(
    browser: httpx.AsyncClient, origin: str | None
) -> None:
    headers = {"Origin": origin} if origin else {}
    assert (await browser.post(f"{AUTH}/refresh", headers=headers)).status_code == 200
    assert (await browser.post(f"{AUTH}/logout", headers=headers)).status_code == 204


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://testserver.evil.example",
        "http://evil.example/testserver",
        "http://testserver@evil.example",
        "http://testserver:8080",
        "null",
        "",
        "http://[",
        "testserver",
    ],
)
async def test_other_origins_may_not_use_the_cookie(
    browser: httpx.AsyncClient, origin: str
) -> None:
    for path in ("refresh", "logout"):
        answer = await browser.post(f"{AUTH}/{path}", headers={"Origin": origin})
        problem(answer, 403, "forbidden")
    assert await is_signed_in(browser, browser.headers["X-Access"])
    assert (await browser.post(f"{AUTH}/refresh")).status_code == 200


async def test_a_foreign_origin_beside_the_own_is_refused(browser: httpx.AsyncClient) -> None:
    for pair in ((OWN, "https://evil.example"), ("https://evil.example", OWN)):
        lines = [("Origin", origin) for origin in pair]
        problem(await browser.post(f"{AUTH}/refresh", headers=lines), 403, "forbidden")


class TestUnderADefaultPort:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {
            "APP_PUBLIC_URL": "https://Shop.Example:443/app",
            "APP_CORS_ORIGINS": "https://Pages.Example:443,http://other.example:80",
        }

    @pytest.mark.parametrize(
        ("origin", "host", "status"),
        [
            ("https://shop.example", "testserver", 200),
            ("https://SHOP.example:443", "testserver", 200),
            ("https://pages.example", "testserver", 200),
            ("http://other.example", "testserver", 200),
            ("http://other.example:80", "testserver", 200),
            ("https://testserver", "TestServer:443", 200),
            ("http://testserver:80", "testserver", 200),
            ("http://shop.example:443", "testserver", 403),
            ("https://other.example", "testserver", 403),
            ("https://testserver:80", "testserver", 403),
        ],
    )
    async def test_only_an_equal_host_and_port_is_the_own_origin(
        self, browser: httpx.AsyncClient, origin: str, host: str, status: int
    ) -> None:
        headers = {"Origin": origin, "Host": host}
        answer = await browser.post(f"{AUTH}/refresh", headers=headers)
        assert answer.status_code == status


async def test_a_token_in_the_body_is_accepted_from_any_origin(login: Login) -> None:
    ada = await login()
    answer = await ada.client.post(
        f"{AUTH}/refresh",
        json={"refresh_token": ada.tokens["refresh_token"]},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 200


async def test_another_site_cannot_sign_a_browser_in(client: httpx.AsyncClient) -> None:
    form = {"username": ADMIN_EMAIL, "password": PASSWORD, "transport": "cookie"}
    headers = {"Origin": "https://evil.example"}
    answer = await client.post(f"{AUTH}/login", data=form, headers=headers)
    problem(answer, 403, "forbidden")
    assert not answer.cookies
