"""Shows the pages that links in mails open, and the mailbox of a developer's machine."""

import re
from html import unescape
from pathlib import Path

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.mail import Mail
from backstay.core.permissions import Scope
from backstay.mailing.local import FileMailer
from backstay.testing import Login
from tests.features.granting import grant
from tests.features.mail.post import Post, ask_for_address
from tests.features.steps import API, ME, OTHER_PASSWORD, register, sign_in
from tests.settings.conftest import OTHER, STRONG
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

MAILBOX = f"{API}/system/mailbox"
HIDDEN = re.compile(r'<input type="hidden" name="token" value="([^"]*)">')


def page(answer: httpx.Response, status: int) -> str:
    """Assert that an answer is a page without scripts, external parts and referrer; its text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text
    assert "://" not in re.sub(r'<a href="[^"]*">[^<]*</a>', "", answer.text)
    return answer.text


async def test_the_page_of_a_link_sets_the_password(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    (hidden,) = HIDDEN.findall(page(await client.get(f"/reset-password?token={token}"), 200))
    assert hidden == token
    weak = {"token": hidden, "new_password": "password123"}
    (again,) = HIDDEN.findall(page(await client.post("/reset-password", data=weak), 422))
    strong = {"token": again, "new_password": OTHER_PASSWORD}
    assert "Sign in" in page(await client.post("/reset-password", data=strong), 200)
    assert (await sign_in(client, person.email, password=OTHER_PASSWORD)).status_code == 200
    assert not HIDDEN.findall(page(await client.post("/reset-password", data=strong), 400))
    assert not HIDDEN.findall(page(await client.get(f"/reset-password?token={token}"), 400))


async def test_only_the_button_on_the_page_confirms_an_address(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.token(person.email)
    (hidden,) = HIDDEN.findall(page(await client.get(f"/verify-email?token={token}"), 200))
    assert not (await person.client.get(ME)).json()["email_verified"]
    page(await client.post("/verify-email", data={"token": hidden}), 200)
    assert (await person.client.get(ME)).json()["email_verified"]
    page(await client.post("/verify-email", data={"token": hidden}), 400)


async def test_the_page_reports_that_an_address_is_taken(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person, address = await login(), "new@example.org"
    await ask_for_address(person.client, address)
    token = await post.token(address)
    assert (await register(client, address)).status_code == 201
    text = page(await client.post("/verify-email", data={"token": token}), 409)
    assert "another account has this address" in text


async def test_a_new_password_can_be_asked_for_on_a_page(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await post.deliver()
    assert 'name="email"' in page(await client.get("/forgot-password"), 200)
    answers = [
        page(await client.post("/forgot-password", data={"email": email}), 200)
        for email in (person.email, "nobody@example.org")
    ]
    assert answers[0] == answers[1]
    assert [mail.recipient for mail in await post.deliver()] == [person.email]
    page(await client.post("/forgot-password", data={"email": "nonsense"}), 422)


@pytest.mark.parametrize("path", ["/reset-password", "/verify-email"])
@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=x", "?token=%22%3E%3Cscript%3E", f"?token={'x' * 600}", "?a=b"]
)
async def test_a_broken_link_is_reported_without_repeating_it(
    client: httpx.AsyncClient, path: str, query: str
) -> None:
    page(await client.get(path + query), 400)
    page(await client.post(path, data={"token": query, "new_password": OTHER_PASSWORD}), 400)


async def test_a_refused_form_repeats_its_token_harmlessly(client: httpx.AsyncClient) -> None:
    forged = '"><script>alert(1)</script>'
    text = page(await client.post("/reset-password", data={"token": forged}), 422)
    assert unescape(HIDDEN.findall(text)[0]) == forged


async def test_the_pages_take_forms_only(client: httpx.AsyncClient) -> None:
    problem(await client.post("/reset-password", json={"token": "x"}), 415)


async def test_the_mailbox_lists_mails_and_shows_their_text(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    assert "none yet" in page(await client.get("/dev/mailbox"), 200)
    person = await login()
    token = await post.token(person.email)
    listed = page(await client.get("/dev/mailbox"), 200)
    assert person.email in listed
    ((where, subject),) = re.findall(r'<a href="(/dev/mailbox/[^"]+)">([^<]+)</a>', listed)
    shown = page(await client.get(where), 200)
    assert subject in shown
    link = f"http://127.0.0.1:8000/verify-email?token={token}"
    assert f'<a href="{link}">{link}</a>' in shown


async def test_scripts_in_a_mail_do_not_run_in_the_mailbox(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    kept = FileMailer(Path(backstay.settings.mail.dir), "Shop <a@example.org>", backstay.clock)
    script = "<script>alert(1)</script>"
    evil = script + ' http://x.example/"onclick="alert(1) javascript:alert(1)'
    await kept.send(Mail("ada@example.org", script, evil, evil))
    (mail,) = await kept.mails()
    for where in ("/dev/mailbox", f"/dev/mailbox/{mail.id}"):
        shown = page(await client.get(where), 200)
        assert "&lt;script&gt;" in shown
        assert '"onclick' not in shown
        assert 'href="javascript' not in shown


async def test_a_mail_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for mail_id in ("x", "..%2Fsecret_key", "01890a5d-ac96-774b-bcce-b302099a8057"):
        problem(await client.get(f"/dev/mailbox/{mail_id}"), 404, "not_found")


async def test_who_may_read_mails_reads_them_as_json(
    login: Login, backstay: Backstay, post: Post
) -> None:
    admin, person, clerk = await login("admin"), await login(), await login()
    token = await post.token(person.email)
    listed = (await admin.client.get(MAILBOX)).json()["items"]
    (kept,) = [each for each in listed if each["recipient"] == person.email]
    assert set(kept) == {"id", "sent_at", "recipient", "subject"}
    shown = (await admin.client.get(f"{MAILBOX}/{kept['id']}")).json()
    assert token in shown.pop("text")
    assert shown == kept
    await grant(backstay, clerk.id, "mail:read", Scope.OWN)
    for where in (MAILBOX, f"{MAILBOX}/{kept['id']}"):
        for one in (person, clerk):
            problem(await one.client.get(where), 403, "forbidden")


@pytest.mark.parametrize(
    "variables",
    [
        {"MAIL_BACKEND": "console"},
        {"MAIL_BACKEND": "smtp", "MAIL_HOST": "mail.example.org"},
        {
            "ENVIRONMENT": "staging",
            "MAIL_BACKEND": "file",
            "SECURITY_SECRET_KEY": STRONG,
            "SECURITY_REFRESH_TOKEN_SECRET": OTHER,
        },
    ],
)
async def test_outside_local_there_is_no_mailbox(client: httpx.AsyncClient, login: Login) -> None:
    admin = await login("admin")
    for where in ("", "/01890a5d-ac96-774b-bcce-b302099a8057"):
        problem(await client.get(f"/dev/mailbox{where}"), 404, "not_found")
        problem(await admin.client.get(f"{MAILBOX}{where}"), 404, "not_found")
    page(await client.get("/reset-password"), 400)
