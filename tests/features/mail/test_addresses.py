"""Shows how an e-mail address is confirmed, and how another takes its place."""

import httpx
import pytest
from sqlalchemy import text

from backstay.composition import Backstay
from backstay.testing import FrozenClock, Login, Person, token_in
from tests.features.mail.post import Post, ask_for_address, verify
from tests.features.steps import (
    API,
    AUTH,
    ME,
    OTHER_PASSWORD,
    Trail,
    execute,
    register,
    said,
    sign_in,
)
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

NEW = "new@example.org"


async def profile(person: Person) -> tuple[str, str | None, bool]:
    """The current address, the pending one, and whether the current one is confirmed."""
    answer = await person.client.get(ME)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["email"], body["pending_email"], body["email_verified"]


async def test_a_new_user_is_mailed_a_confirmation_link(
    client: httpx.AsyncClient, login: Login, post: Post, trail: Trail
) -> None:
    person = await login()
    assert await profile(person) == (person.email, None, False)
    (mail,) = await post.deliver()
    assert mail.recipient == person.email
    await trail()
    assert (await verify(client, token_in(mail))).status_code == 204
    (row,) = await trail()
    assert said([row]) == [("VerifyEmail", "ok", None)]
    assert str(row.user_id) == person.id
    assert await profile(person) == (person.email, None, True)
    problem(await verify(client, token_in(mail)), 400, "mail.token_not_valid")


async def test_nobody_is_mailed_for_an_account_that_was_not_made(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await post.deliver()
    assert (await register(client, person.email)).status_code == 409
    assert await post.deliver() == []


@pytest.mark.parametrize(("hours", "status"), [(23, 204), (24, 400)])
async def test_the_link_works_for_a_day(
    client: httpx.AsyncClient,
    login: Login,
    post: Post,
    clock: FrozenClock,
    hours: int,
    status: int,
) -> None:
    token = await post.token((await login()).email)
    clock.forward(hours=hours)
    assert (await verify(client, token)).status_code == status


async def test_the_mail_is_sent_again_until_the_address_is_confirmed(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    first = await post.token(person.email)
    answers = [await person.client.post(f"{AUTH}/email/verify/resend")]
    second = await post.token(person.email)
    assert first != second
    assert (await verify(client, second)).status_code == 204
    problem(await verify(client, first), 400, "mail.token_not_valid")
    answers.append(await person.client.post(f"{AUTH}/email/verify/resend"))
    assert await post.deliver() == []
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (202, answers[0].content)
    }


async def test_strangers_have_nothing_sent_again(client: httpx.AsyncClient) -> None:
    problem(await client.post(f"{AUTH}/email/verify/resend"), 401, "auth_error")


class TestWhereOnlyConfirmedAddressesSignIn:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SECURITY_REQUIRE_VERIFIED_EMAIL": "true"}

    async def test_where_required_only_confirmed_accounts_sign_in(
        self, client: httpx.AsyncClient, post: Post
    ) -> None:
        await register(client, "ada@example.org")
        problem(await sign_in(client, "ada@example.org"), 403, "auth.email_unverified")
        wrong = await sign_in(client, "ada@example.org", password=OTHER_PASSWORD)
        problem(wrong, 401, "auth_error")
        await verify(client, await post.token("ada@example.org"))
        assert (await sign_in(client, "ada@example.org")).status_code == 200

    async def test_a_password_reset_by_mail_allows_signing_in(
        self, client: httpx.AsyncClient, post: Post
    ) -> None:
        await register(client, "ada@example.org")
        token = await post.reset_token(client, "ada@example.org")
        body = {"token": token, "new_password": OTHER_PASSWORD}
        assert (await client.post(f"{AUTH}/password/reset", json=body)).status_code == 204
        answer = await sign_in(client, "ada@example.org", password=OTHER_PASSWORD)
        assert answer.status_code == 200


async def test_a_confirmed_new_address_counts_and_the_old_is_warned(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await post.deliver()
    assert (await ask_for_address(person.client, NEW)).status_code == 200
    assert await profile(person) == (person.email, NEW, False)
    mails = {mail.recipient: mail for mail in await post.deliver()}
    assert mails.keys() == {person.email, NEW}
    assert "token" not in mails[person.email].text + mails[person.email].html
    assert NEW not in mails[person.email].text + mails[person.email].html
    assert (await verify(client, token_in(mails[NEW]))).status_code == 204
    assert await profile(person) == (NEW, None, True)
    assert (await sign_in(client, person.email)).status_code == 401
    assert (await sign_in(client, NEW)).status_code == 200


async def test_an_address_taken_meanwhile_cannot_be_confirmed(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await ask_for_address(person.client, NEW)
    token = await post.token(NEW)
    assert (await register(client, NEW)).status_code == 201
    problem(await verify(client, token), 409, "users.email_taken")
    assert await profile(person) == (person.email, NEW, False)


async def test_the_latest_requested_address_counts(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await ask_for_address(person.client, "first@example.org")
    first = await post.token("first@example.org")
    await ask_for_address(person.client, NEW)
    latest = await post.token(NEW)
    problem(await verify(client, first), 400, "mail.token_not_valid")
    assert (await verify(client, latest)).status_code == 204


async def test_asking_for_the_current_address_cancels_a_change(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await ask_for_address(person.client, NEW)
    token = await post.token(NEW)
    await ask_for_address(person.client, person.email)
    assert await profile(person) == (person.email, None, False)
    problem(await verify(client, token), 400, "mail.token_not_valid")


async def test_a_new_password_stops_a_change_of_address(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    await ask_for_address(person.client, NEW)
    token = await post.token(NEW)
    both = {"current_password": "correct horse battery", "new_password": OTHER_PASSWORD}
    await person.client.post(f"{AUTH}/password/change", json=both)
    assert (await profile(person))[1] is None
    problem(await verify(client, token), 400, "mail.token_not_valid")
    await person.client.post(f"{AUTH}/email/verify/resend")
    assert [mail.recipient for mail in await post.deliver()] == [person.email]


async def test_an_address_that_an_administrator_sets_is_to_be_confirmed(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    admin, person = await login("admin"), await login()
    await verify(client, await post.token(person.email))
    where = f"{API}/users/{person.id}"
    assert (await admin.client.patch(where, json={"email": NEW})).status_code == 200
    assert await profile(person) == (NEW, None, False)
    await verify(client, await post.token(NEW))
    assert await profile(person) == (NEW, None, True)


@pytest.mark.parametrize("state", ["blocked", "deleted"])
async def test_links_of_accounts_that_are_gone_are_dead(
    client: httpx.AsyncClient, login: Login, post: Post, state: str
) -> None:
    admin, person = await login("admin"), await login()
    token = await post.token(person.email)
    where = f"{API}/users/{person.id}"
    request = admin.client.post(f"{where}/block") if state == "blocked" else None
    await (request or admin.client.delete(where))
    problem(await verify(client, token), 400, "mail.token_not_valid")


async def test_nothing_is_mailed_that_was_rolled_back(
    login: Login, post: Post, backstay: Backstay
) -> None:
    person, other = await login(), await login()
    await post.deliver()
    answer = await ask_for_address(person.client, NEW, username="taken")
    assert answer.status_code == 200
    await post.deliver()
    refused = await ask_for_address(other.client, "other@example.org", username="taken")
    problem(refused, 409, "users.username_taken")
    assert await post.deliver() == []
    waiting = await execute(backstay, text("SELECT count(*) FROM jobs WHERE finished_at IS NULL"))
    assert waiting.scalar() == 0


async def test_a_confirmed_address_gets_no_further_confirmation_mail(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.token(person.email)
    await person.client.post(f"{AUTH}/email/verify/resend")
    assert (await verify(client, token)).status_code == 204
    assert await post.deliver() == []


async def test_nobody_is_mailed_about_an_account_that_was_deleted_meanwhile(
    login: Login, post: Post
) -> None:
    admin, person = await login("admin"), await login()
    assert (await admin.client.delete(f"{API}/users/{person.id}")).status_code == 204
    assert await post.deliver() == []
