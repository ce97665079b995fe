"""Shows that no other site can make a browser do something in the console."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.testing import Login, settings_with
from tests.admin.conftest import Open
from tests.admin.visiting import Visitor

pytestmark = pytest.mark.anyio

FORM = "/admin/form/create_item"
FILLED = {"title": "planted"}


async def titles(person: Visitor) -> str:
    return (await person.get("/data/items")).text


async def test_a_form_needs_the_token_of_its_session(console: Open) -> None:
    visitor, other = await console(), await console("user")
    for token in ("", "x", await other.token()):
        answer = await visitor.client.post(FORM, data={**FILLED, "csrf": token})
        assert answer.status_code == 403
        assert "of another session" in answer.text
    assert "planted" not in await titles(visitor)


@pytest.mark.parametrize("path", ["/form/create_item", "/sign-out", "/fresh", "/bulk"])
async def test_each_form_asks_for_it(console: Open, path: str) -> None:
    visitor = await console()
    answer = await visitor.client.post(f"/admin{path}", data=FILLED)
    assert answer.status_code == 403
    assert "of another session" in answer.text
    assert (await visitor.get("")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_of_another_site_is_refused(console: Open, headers: dict[str, str]) -> None:
    visitor = await console()
    filled = {**FILLED, "csrf": await visitor.token()}
    answer = await visitor.client.post(FORM, data=filled, headers=headers)
    assert answer.status_code == 403
    assert "planted" not in await titles(visitor)


async def test_a_form_without_an_origin_is_refused(console: Open) -> None:
    visitor = await console()
    filled = {**FILLED, "csrf": await visitor.token()}
    del visitor.client.headers["Origin"]
    assert (await visitor.client.post(FORM, data=filled)).status_code == 403


async def test_scripts_of_other_origins_read_no_page(seeded_url: str, tmp_path: Path) -> None:
    other = "https://shop.example"
    app = create_app(settings_with(seeded_url, tmp_path, APP_CORS_ORIGINS=other))
    async with app.router.lifespan_context(app):
        visitor = Visitor(app)
        assert (await visitor.sign_in("admin")).status_code == 303
        for path in ("", "/form/create_item", "/pick/list_users", "/export/list_users"):
            answer = await visitor.get(path, headers={"Origin": other})
            assert answer.status_code == 403
            assert "csrf" not in answer.text
            assert "admin@" not in answer.text
            assert (await visitor.get(path)).status_code == 200
        await visitor.client.aclose()


async def test_another_site_signs_nobody_in(stranger: Visitor, login: Login) -> None:
    person = await login()
    stranger.client.headers["Origin"] = "https://evil.example"
    answer = await stranger.sign_in(person.email)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_nothing_is_done_by_reading(console: Open) -> None:
    visitor = await console()
    for path in ("/sign-out", "/form/create_item?title=planted"):
        await visitor.get(path)
    assert (await visitor.get("")).status_code == 200
    assert "planted" not in await titles(visitor)


async def test_pages_may_not_be_framed(console: Open, stranger: Visitor) -> None:
    visitor = await console()
    pages = [await visitor.get(p) for p in ("", "/data/items", "/form/create_item", "/none")]
    for page in (*pages, await stranger.get("/sign-in")):
        assert page.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_pages_run_no_script_but_their_own(app: FastAPI, console: Open) -> None:
    visitor = await console()
    one, other = [await visitor.get("/data/users") for _ in range(2)]
    assert one.headers["content-security-policy"] != other.headers["content-security-policy"]
    policy = one.headers["content-security-policy"]
    assert "script-src 'self' 'nonce-" in policy
    assert "style-src 'self' 'nonce-" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


async def test_junk_is_refused_with_a_sentence(console: Open) -> None:
    visitor = await console()
    form = {"csrf": await visitor.token()}
    many = {f"x{number}": "y" for number in range(3000)}
    for content in (b"\xff" * 100, b"a=" + b"b" * 10_000_000):
        answer = await visitor.client.post(
            FORM,
            content=content,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code in {400, 403, 413}
    deep = {**form, "operation": "block_user", "ids": "x", "body": "[" * 100_000}
    answer = await visitor.client.post("/admin/form/start_bulk", data=deep)
    assert answer.status_code == 422
    assert "This is not JSON" in answer.text
    crowded = await visitor.client.post(FORM, data={**form, **many})
    assert crowded.status_code == 400
