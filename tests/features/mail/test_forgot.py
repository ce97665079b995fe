"""Shows that asking for a new password reveals no accounts, and floods no mailbox."""

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.features.mail.commands.links import MOST
from backstay.testing import FrozenClock, Login
from tests.features.mail.post import Post, ask_for_address, forgot
from tests.features.steps import AUTH, change_user, register
from tests.jobs.steps import drain, jobs
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["unknown", "blocked", "deleted"])
async def test_the_answer_does_not_reveal_whether_an_account_exists(
    client: httpx.AsyncClient, login: Login, post: Post, backstay: Backstay, kind: str
) -> None:
    person, known = await login(), await login()
    await post.deliver()
    if kind != "unknown":
        await change_user(backstay, person.id, **{f"{kind}_at": utc_now()})
    other = person.email if kind != "unknown" else "nobody@example.org"
    answers = [await forgot(client, email) for email in (known.email, other)]
    varying = {"x-request-id", "traceparent"}
    bodies = {answer.content for answer in answers}
    headers = {tuple((k, v) for k, v in a.headers.items() if k not in varying) for a in answers}
    assert (len(bodies), len(headers)) == (1, 1)
    assert [mail.recipient for mail in await post.deliver()] == [known.email]


async def test_known_and_unknown_addresses_cause_the_same_statements(
    client: httpx.AsyncClient, login: Login, statements: list[str]
) -> None:
    person = await login()
    done: list[list[str]] = []
    for email in (person.email, "nobody@example.org"):
        statements.clear()
        await forgot(client, email)
        done.append(list(statements))
    assert done[0] == done[1]
    assert any("INSERT INTO jobs" in statement for statement in done[0])


async def test_a_second_request_at_once_sends_no_second_mail(
    client: httpx.AsyncClient, login: Login, backstay: Backstay, statements: list[str], post: Post
) -> None:
    person = await login()
    await post.deliver()
    done: dict[str, list[str]] = {}
    for email in (person.email, "nobody@example.org"):
        await forgot(client, email)
        assert await drain(backstay) == 0
        statements.clear()
        await forgot(client, email)
        done[email] = list(statements)
    assert done[person.email] == done["nobody@example.org"]
    assert sum(row.name == "MailResetLink" for row in await jobs(backstay)) == 2
    assert [mail.recipient for mail in await post.deliver()] == [person.email]
    await forgot(client, person.email)
    assert len(await post.deliver()) == 1


async def test_mail_waits_in_a_queue_of_its_own(
    client: httpx.AsyncClient, login: Login, backstay: Backstay, post: Post
) -> None:
    person = await login()
    await ask_for_address(person.client, "other@example.org")
    await forgot(client, person.email)
    await person.client.post(f"{AUTH}/email/verify/resend")
    await post.deliver()
    assert {row.name: row.queue for row in await jobs(backstay)} == {
        "MailVerification": "mail",
        "MailResetLink": "mail",
        "SendMail": "mail",
    }


async def test_a_mailbox_is_not_flooded(
    client: httpx.AsyncClient, login: Login, post: Post, clock: FrozenClock
) -> None:
    person = await login()
    await post.deliver()
    mails = 0
    for _ in range(MOST + 2):
        await forgot(client, person.email)
        mails += len(await post.deliver())
    assert mails == MOST
    clock.forward(minutes=61)
    await forgot(client, person.email)
    assert len(await post.deliver()) == 1


async def test_an_invalid_address_is_refused(client: httpx.AsyncClient) -> None:
    for body in ({}, {"email": "ada"}, {"email": "a@example.org\r\nBcc: eve@example.org"}):
        problem(await client.post(f"{AUTH}/password/forgot", json=body), 422, "validation_error")


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_address_is_found_however_it_is_written(
    client: httpx.AsyncClient, post: Post
) -> None:
    await register(client, "a@xn--mnchen-3ya.de")
    await post.deliver()
    for email in ("a@xn--mnchen-3ya.de", "A@M\xdcNCHEN.de", "a@mu\u0308nchen.de"):
        assert (await forgot(client, email)).status_code == 202
        assert [mail.recipient for mail in await post.deliver()] == ["a@xn--mnchen-3ya.de"]
    named = {"email": "Ada <a@m\xfcnchen.de>"}
    problem(await client.post(f"{AUTH}/password/forgot", json=named), 422, "validation_error")
