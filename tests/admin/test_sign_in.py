"""Shows how people sign in to the console and out of it, and what its cookie is good for."""

from pathlib import Path
from secrets import token_urlsafe

import httpx
import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.testing import FrozenClock, Login, settings_with
from tests.admin.conftest import Open
from tests.admin.visiting import Visitor

pytestmark = pytest.mark.anyio


async def test_strangers_are_sent_to_the_sign_in(stranger: Visitor) -> None:
    answer = await stranger.get("/data/items?limit=5")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/admin/sign-in?next=%2Fdata%2Fitems%3Flimit%3D5"


async def test_who_signs_in_goes_on_where_they_wanted_to(stranger: Visitor, login: Login) -> None:
    person = await login()
    answer = await stranger.sign_in(person.email, next="/data/items?limit=5")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/admin/data/items?limit=5",
    )
    assert (await stranger.get("/data/items")).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        ".evil.example",
        "@evil.example/",
        "/x\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
    ],
)
async def test_a_sign_in_leads_to_no_other_site(
    stranger: Visitor, login: Login, target: str
) -> None:
    answer = await stranger.sign_in((await login()).email, next=target)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/admin"


async def test_a_wrong_password_says_what_the_api_says(stranger: Visitor, login: Login) -> None:
    person = await login()
    wrong = await stranger.sign_in(person.email, "wrong password")
    unknown = await stranger.sign_in("nobody@example.org", "wrong password")
    assert wrong.status_code == unknown.status_code == 401
    assert "Wrong login or password" in wrong.text
    assert wrong.text.count("wrong password") == 0
    assert "set-cookie" not in wrong.headers


async def test_the_cookie_is_bound_to_the_host_outside_local(
    seeded_url: str, tmp_path: Path
) -> None:
    settings = settings_with(
        seeded_url.replace("sqlite+aiosqlite", "sqlite"),
        tmp_path,
        ENVIRONMENT="staging",
        SECURITY_SECRET_KEY=token_urlsafe(32),
        SECURITY_REFRESH_TOKEN_SECRET=token_urlsafe(32),
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        visitor = Visitor(app)
        lost = await visitor.sign_in("admin@example.com")
        visitor.client.headers["Origin"] = "https://testserver"  # behind a proxy with TLS
        answer = await visitor.sign_in("admin@example.com")
        await visitor.client.aclose()
    assert lost.status_code == 403
    assert "over HTTPS" in lost.text
    assert "set-cookie" not in lost.headers
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-console=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_the_api_takes_no_cookie_of_the_console(app: FastAPI, console: Open) -> None:
    visitor = await console()
    assert "console" in visitor.client.cookies
    for path in ("/api/v1/users/me", "/api/v1/users"):
        assert (await visitor.client.get(path)).status_code == 401
    refreshed = await visitor.client.post("/api/v1/auth/refresh", json={})
    assert refreshed.status_code == 401


async def test_the_console_takes_no_token_of_the_api(app: FastAPI, login: Login) -> None:
    person = await login("admin")
    answer = await person.client.get("/admin/data/users")
    assert answer.status_code == 303


async def test_a_sign_in_starts_another_session(stranger: Visitor, login: Login) -> None:
    """A cookie that somebody planted in the browser is good for nothing afterwards."""
    attacker, victim = await login(), await login()
    await stranger.sign_in(attacker.email)
    planted = stranger.client.cookies["console"]
    await stranger.sign_in(victim.email)
    assert stranger.client.cookies["console"] != planted
    assert victim.email in (await stranger.get("")).text
    stranger.client.cookies.clear()
    stranger.client.cookies.set("console", planted)
    assert (await stranger.get("")).status_code == 303  # the session before was ended


async def test_signing_out_ends_the_session(console: Open) -> None:
    visitor = await console()
    kept = visitor.client.cookies["console"]
    answer = await visitor.client.post("/admin/sign-out", data={"csrf": await visitor.token()})
    assert answer.headers["location"] == "/admin/sign-in"
    visitor.client.cookies.set("console", kept)
    assert (await visitor.get("")).status_code == 303


async def test_a_session_ended_by_the_api_is_ended_here(stranger: Visitor, login: Login) -> None:
    person = await login()
    await stranger.sign_in(person.email)
    assert (await stranger.get("")).status_code == 200
    await person.client.delete("/api/v1/auth/sessions")
    assert (await stranger.get("")).status_code == 303


async def test_an_idle_session_is_over(console: Open, clock: FrozenClock) -> None:
    visitor = await console()
    clock.forward(minutes=29)
    assert (await visitor.get("")).status_code == 200
    clock.forward(minutes=29)
    assert (await visitor.get("")).status_code == 200
    clock.forward(minutes=30)
    assert (await visitor.get("")).status_code == 303


async def test_what_a_script_asks_for_prolongs_no_session(
    console: Open, clock: FrozenClock
) -> None:
    visitor = await console()
    clock.forward(minutes=29)
    asked = await visitor.get("/pick/list_users", headers={"Sec-Fetch-Mode": "cors"})
    assert asked.status_code == 200
    clock.forward(minutes=2)
    assert (await visitor.get("")).status_code == 303


async def test_a_session_lasts_half_a_day_at_most(console: Open, clock: FrozenClock) -> None:
    visitor = await console()
    for _ in range(28):
        clock.forward(minutes=25)
        assert (await visitor.get("")).status_code == 200
    clock.forward(minutes=25)
    assert (await visitor.get("")).status_code == 303


@pytest.mark.parametrize(
    "change", [lambda c: c[:-1], lambda c: c[:30].swapcase() + c[30:], lambda c: "x", str.lower]
)
async def test_a_forged_cookie_is_none(console: Open, change: object) -> None:
    visitor = await console()
    kept = visitor.client.cookies["console"]
    visitor.client.cookies.clear()
    visitor.client.cookies.set("console", change(kept))  # type: ignore[operator]
    assert (await visitor.get("")).status_code == 303


class TestLimits:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true"}

    async def test_sign_ins_count_with_those_of_the_api(
        self, stranger: Visitor, client: httpx.AsyncClient
    ) -> None:
        body = {"login": "nobody", "password": "wrong password"}
        for _ in range(3):
            assert (await stranger.sign_in("nobody", "wrong password")).status_code == 401
            await client.post("/api/v1/auth/login", json=body)
        refused = await stranger.sign_in("nobody", "wrong password")
        assert refused.status_code == 429
        assert "Retry in" in refused.text

    async def test_pages_count_as_requests_of_their_reader(self, console: Open) -> None:
        visitor = await console()
        answers = [await visitor.get("/data/items") for _ in range(101)]
        assert [each.status_code for each in answers[:100]] == [200] * 100
        assert answers[100].status_code == 429
