"""Shows that a forgotten password can be replaced by whoever reads the account's mail, once."""

import asyncio

import httpx
import pytest
from sqlalchemy import func, select, text

from backstay.composition import Backstay
from backstay.db.activity import Activity
from backstay.features.mail.commands.links import PurgeMailTokens
from backstay.features.mail.model import MailToken
from backstay.testing import FrozenClock, Login
from tests.features.mail.post import Post, ask_for_address, reset, verify
from tests.features.steps import (
    API,
    AUTH,
    OTHER_PASSWORD,
    Trail,
    bearer,
    execute,
    is_signed_in,
    refresh,
    register,
    said,
    sign_in,
)
from tests.jobs.steps import jobs
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

THIRD_PASSWORD = "neither horse nor staple"


async def test_a_mailed_link_sets_a_new_password_once(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == 204
    assert (await sign_in(client, person.email)).status_code == 401
    assert (await sign_in(client, person.email, password=OTHER_PASSWORD)).status_code == 200
    problem(await reset(client, token, THIRD_PASSWORD), 400, "mail.token_not_valid")
    assert (await sign_in(client, person.email, password=OTHER_PASSWORD)).status_code == 200


async def test_the_link_leads_to_the_public_address(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await post.deliver()
    await client.post(
        f"{AUTH}/password/forgot", json={"email": person.email}, headers={"host": "evil.example"}
    )
    (mail,) = await post.deliver()
    assert "http://127.0.0.1:8000/reset-password?token=" in mail.text
    assert "evil" not in mail.text + mail.html


async def test_of_many_uses_of_a_link_at_once_one_succeeds(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    passwords = [f"one of many {number}" for number in range(6)]
    answers = await asyncio.gather(*(reset(client, token, each) for each in passwords))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {400, 409}
    fits = [(await sign_in(client, person.email, password=p)).status_code for p in passwords]
    assert sorted(fits) == [200] + [401] * 5


async def test_every_session_ends(client: httpx.AsyncClient, login: Login, post: Post) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == 204
    assert not await is_signed_in(client, person.tokens["access_token"])
    assert (await refresh(client, person.tokens["refresh_token"])).status_code == 401


@pytest.mark.parametrize(("minutes", "status"), [(59, 204), (60, 400)])
async def test_the_link_works_for_an_hour(
    client: httpx.AsyncClient,
    login: Login,
    post: Post,
    clock: FrozenClock,
    minutes: int,
    status: int,
) -> None:
    token = await post.reset_token(client, (await login()).email)
    clock.forward(minutes=minutes)
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == status


async def test_using_one_link_invalidates_the_others(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    older = await post.reset_token(client, person.email)
    newer = await post.reset_token(client, person.email)
    assert (await reset(client, older, OTHER_PASSWORD)).status_code == 204
    problem(await reset(client, newer, THIRD_PASSWORD), 400, "mail.token_not_valid")


@pytest.mark.parametrize("change", ["changed", "set by another", "blocked", "deleted", "address"])
async def test_another_password_change_invalidates_the_link(
    client: httpx.AsyncClient, login: Login, post: Post, backstay: Backstay, change: str
) -> None:
    admin, person = await login("admin"), await login()
    token = await post.reset_token(client, person.email)
    where = f"{API}/users/{person.id}"
    if change == "changed":
        both = {"current_password": "correct horse battery", "new_password": OTHER_PASSWORD}
        done = await person.client.post(f"{AUTH}/password/change", json=both)
    elif change == "set by another":
        done = await admin.client.put(f"{where}/password", json={"new_password": OTHER_PASSWORD})
    elif change == "blocked":
        await admin.client.post(f"{where}/block")
        done = await admin.client.post(f"{where}/unblock")
    elif change == "deleted":
        done = await admin.client.delete(where)
    else:
        await ask_for_address(person.client, "new@example.org")
        done = await verify(client, await post.token("new@example.org"))
    assert done.is_success, done.text
    problem(await reset(client, token, THIRD_PASSWORD), 400, "mail.token_not_valid")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "string_too_short"),
        ("x" * 129, "string_too_long"),
        ("password123", "common_password"),
        ("my person0 is here", "personal_password"),
    ],
)
async def test_a_refused_new_password_leaves_the_link_valid(
    client: httpx.AsyncClient, login: Login, post: Post, password: str, code: str
) -> None:
    token = await post.reset_token(client, (await login()).email)
    refused = problem(await reset(client, token, password), 422, "validation_error")
    assert [(e["field"], e["code"]) for e in refused["errors"]] == [("new_password", code)]
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == 204


async def test_a_token_is_good_for_its_purpose_only(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    verifying = await post.token(person.email)
    resetting = await post.reset_token(client, person.email)
    problem(await reset(client, verifying, OTHER_PASSWORD), 400, "mail.token_not_valid")
    problem(await verify(client, resetting), 400, "mail.token_not_valid")
    for token in (verifying, resetting):
        assert not await is_signed_in(client, token)
        assert (await refresh(client, token)).status_code == 401
        answer = await client.get(f"{AUTH}/sessions", headers=bearer(token))
        assert answer.status_code == 401
        assert (await sign_in(client, person.email, password=token)).status_code == 401
    assert (await reset(client, resetting, OTHER_PASSWORD)).status_code == 204
    assert (await verify(client, verifying)).status_code == 204


async def test_a_forged_token_is_refused(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    token = await post.reset_token(client, (await login()).email)
    other = "B" if token[-1] != "B" else "C"
    for forged in (token[:-1] + other, token[:-4], f"{token}AAAA", "x", "ä", "A" * 64, "=" * 8):
        problem(await reset(client, forged, OTHER_PASSWORD), 400, "mail.token_not_valid")
    problem(await reset(client, "", OTHER_PASSWORD), 422)
    problem(await reset(client, "x" * 600, OTHER_PASSWORD), 422)


async def test_the_trail_tells_what_was_done_to_whom(
    client: httpx.AsyncClient, login: Login, post: Post, trail: Trail
) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    await trail()
    await reset(client, token, OTHER_PASSWORD)
    await reset(client, token, OTHER_PASSWORD)
    (row,) = await trail()
    assert said([row]) == [("ResetPassword", "ok", None)]
    assert (str(row.user_id), row.actor) == (person.id, "anonymous")


async def test_secrets_are_in_no_table(
    client: httpx.AsyncClient, login: Login, post: Post, backstay: Backstay
) -> None:
    person = await login()
    verifying = await post.token(person.email)
    token = await post.reset_token(client, person.email)
    await client.get("/reset-password", params={"token": token})
    await verify(client, verifying)
    await reset(client, token, "password123")
    await reset(client, token, OTHER_PASSWORD)
    await reset(client, token, OTHER_PASSWORD)
    secrets = (token, verifying, OTHER_PASSWORD, token[22:], verifying[22:])
    rows = [str(tuple(row)) for row in await jobs(backstay)]
    for table in (Activity, MailToken):
        found = await execute(backstay, select(*table.__table__.columns))
        rows += [str(tuple(row)) for row in found]
    assert any("SendMail" in row for row in rows)
    for text_kept in rows:
        assert not [secret for secret in secrets if secret in text_kept]


async def test_unused_links_are_purged(
    client: httpx.AsyncClient, login: Login, post: Post, backstay: Backstay, clock: FrozenClock
) -> None:
    person = await login()
    await post.reset_token(client, person.email)
    count = select(func.count()).select_from(MailToken)
    clock.forward(hours=23)
    await backstay.system(PurgeMailTokens())
    assert (await execute(backstay, count)).scalar() == 1
    clock.forward(hours=2)
    await backstay.system(PurgeMailTokens())
    assert (await execute(backstay, count)).scalar() == 0


async def test_an_export_tells_of_links_without_their_tokens(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    exported = await person.client.get(f"{API}/users/me/export")
    links = exported.json()["data"]["mail_links"]
    assert {link["purpose"] for link in links} == {"reset", "verify"}
    assert token[22:] not in exported.text


async def test_erasing_a_user_removes_their_links(
    client: httpx.AsyncClient, login: Login, post: Post, backstay: Backstay
) -> None:
    admin, person = await login("admin"), await login()
    await post.reset_token(client, person.email)
    answer = await admin.client.delete(f"{API}/users/{person.id}", params={"hard": "true"})
    assert answer.status_code == 204
    left = await execute(backstay, text("SELECT count(*) FROM mail_tokens"))
    assert left.scalar() == 0


async def test_a_stranger_who_took_the_address_first_loses_the_account(
    client: httpx.AsyncClient, post: Post
) -> None:
    await register(client, "victim@example.org", password=THIRD_PASSWORD)
    thief = (await sign_in(client, "victim@example.org", password=THIRD_PASSWORD)).json()
    headers = bearer(thief["access_token"])
    wish = {"email": "thief@example.org", "current_password": THIRD_PASSWORD}
    await client.patch(f"{API}/users/me", json=wish, headers=headers)
    trap = await post.token("thief@example.org")
    token = await post.reset_token(client, "victim@example.org")
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == 204
    assert not await is_signed_in(client, thief["access_token"])
    assert (await refresh(client, thief["refresh_token"])).status_code == 401
    problem(await verify(client, trap), 400, "mail.token_not_valid")
    mine = (await sign_in(client, "victim@example.org", password=OTHER_PASSWORD)).json()
    profile = (await client.get(f"{API}/users/me", headers=bearer(mine["access_token"]))).json()
    assert (profile["email"], profile["pending_email"]) == ("victim@example.org", None)
    assert profile["email_verified"]
