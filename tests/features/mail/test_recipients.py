"""Shows that nobody can flood the mailbox of a stranger by any request or account."""

from pathlib import Path
from uuid import UUID

import httpx
import pytest
import structlog

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.features.mail.commands import sending
from backstay.features.mail.commands.sending import BEYOND, SHARE, SendMail
from backstay.features.users.commands.credentials import StorePassword
from backstay.features.users.events import PasswordSetter
from backstay.limits.memory import MemoryLimiter
from backstay.testing import Login, Person, settle
from backstay.testing.ports import free_port
from tests.features.mail.post import Post, ask_for_address, forgot, verify
from tests.features.steps import AUTH, change_user, register
from tests.jobs.steps import drain_again
from tests.services.smtp import smtp_server

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

VICTIM = "vic@example.org"
LIMITED = {
    "RATE_LIMIT_ENABLED": "true",
    "RATE_LIMIT_DEFAULT": "1000",
    **{f"SECURITY_{name}_RATE_LIMIT": "1000/minute" for name in ("LOGIN", "REGISTER", "FORGOT")},
}


@pytest.fixture
def variables() -> dict[str, str]:
    return LIMITED


async def recipients(post: Post) -> list[str]:
    """The recipients of the new mails."""
    return [mail.recipient for mail in await post.deliver()]


async def test_all_links_to_a_recipient_count_together(
    login: Login, client: httpx.AsyncClient, post: Post
) -> None:
    people = [await login() for _ in range(2)]
    await post.deliver()
    for person in people:
        await ask_for_address(person.client, VICTIM)
    mailed = await recipients(post)
    assert (await register(client, VICTIM)).status_code == 201
    await forgot(client, VICTIM)
    mailed += await recipients(post)
    assert mailed.count(VICTIM) == 4 < SHARE.limit
    for spelling in ("VIC@example.org", "Vic@EXAMPLE.org"):
        await forgot(client, spelling)
        mailed += await recipients(post)
    for person in people:
        await person.client.post(f"{AUTH}/email/verify/resend")
        await ask_for_address(person.client, "vic+more@example.org")
        mailed += await recipients(post)
    for _ in range(BEYOND.limit):
        await forgot(client, VICTIM)
        mailed += await recipients(post)
    assert sum(each.startswith("vic") for each in mailed) == SHARE.limit + BEYOND.limit
    await forgot(client, people[0].email)
    assert await recipients(post) == [people[0].email]


async def test_one_address_registered_again_and_again_is_mailed_few_links(
    client: httpx.AsyncClient, backstay: Backstay, post: Post
) -> None:
    mailed = []
    for _ in range(SHARE.limit + 1):
        user = (await register(client, VICTIM)).json()["id"]
        mailed += await recipients(post)
        await change_user(backstay, user, deleted_at=utc_now())
    assert mailed == [VICTIM] * SHARE.limit


async def flood_with_links(client: httpx.AsyncClient, post: Post, email: str) -> None:
    """Ask for links until no more are sent."""
    for _ in range(SHARE.limit + BEYOND.limit + 1):
        await forgot(client, email)
        last = await recipients(post)
    assert last == []


async def ask_for_another(person: Person, number: int) -> None:
    """Ask for another address, which causes a notice to the current one."""
    await ask_for_address(person.client, f"other{number}@example.org")


async def test_no_flood_of_links_keeps_a_notice_away(
    login: Login, client: httpx.AsyncClient, post: Post
) -> None:
    person = await login()
    await post.deliver()
    await flood_with_links(client, post, person.email)
    await ask_for_another(person, 0)
    assert sorted(await recipients(post)) == ["other0@example.org", person.email]


async def test_notices_of_one_kind_have_a_share_of_their_own(
    login: Login, client: httpx.AsyncClient, post: Post
) -> None:
    person = await login()
    await post.deliver()
    mailed = []
    for number in range(SHARE.limit + 2):
        await ask_for_another(person, number)
        mailed += await recipients(post)
    assert mailed.count(person.email) == SHARE.limit
    await forgot(client, person.email)
    assert await recipients(post) == [person.email]


async def test_a_mail_not_sent_is_logged_without_its_address(
    login: Login,
    client: httpx.AsyncClient,
    backstay: Backstay,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = await login()
    await post.deliver()
    monkeypatch.setattr(sending, "log", structlog.get_logger())
    with structlog.testing.capture_logs() as logs:
        for number in range(SHARE.limit + 1):
            await register(client, person.email.replace("@", f"+{number}@"))
        await post.deliver()
    told = [entry for entry in logs if entry["event"].startswith("mail")]
    assert {(entry["event"], entry["template"]) for entry in told} == {
        ("mail given up: its recipient was sent enough of this kind", "verify_email")
    }
    assert person.email not in str(told)
    assert isinstance(backstay.limiter, MemoryLimiter)
    counted = [name for name in backstay.limiter._paid_at if ":mail:" in name]
    assert counted
    assert "person" not in str(counted)


class TestWhileTheServerIsAway:
    port = free_port()

    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return LIMITED | {
            "MAIL_BACKEND": "smtp",
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": str(self.port),
            "MAIL_TLS": "none",
            "MAIL_FROM": "Shop <shop@example.org>",
        }

    async def test_a_mail_that_is_tried_again_counts_once(
        self, client: httpx.AsyncClient, backstay: Backstay
    ) -> None:
        await register(client, VICTIM)
        await settle(backstay)
        for _ in range(SHARE.limit + 1):
            assert await drain_again(backstay) == 1
        with smtp_server(self.port) as box:
            await drain_again(backstay)
            assert len(box.mails) == 1
            for _ in range(SHARE.limit - 1):
                await forgot(client, VICTIM)
                await settle(backstay)
            assert len(box.mails) == SHARE.limit
            await register(client, "vic+more@example.org")
            await settle(backstay)
            assert len(box.mails) == SHARE.limit


class TestMailsOfAProject:
    @pytest.fixture
    def variables(self, tmp_path: Path) -> dict[str, str]:
        for form in ("txt", "html"):
            (tmp_path / f"order.{form}").write_text("An order\n\nwas made.")
        return LIMITED | {"MAIL_TEMPLATES_DIR": str(tmp_path)}

    async def test_mails_of_the_project_itself_are_not_limited(
        self, backstay: Backstay, post: Post
    ) -> None:
        for _ in range(SHARE.limit + 1):
            await backstay.system(SendMail(template="order", recipient=VICTIM))
        assert await recipients(post) == [VICTIM] * (SHARE.limit + 1)


class TestNotices:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {**LIMITED, "MAIL_NOTICES": "true"}

    async def test_a_stranger_uses_up_no_notice_of_a_confirmed_address(
        self, login: Login, client: httpx.AsyncClient, backstay: Backstay, post: Post
    ) -> None:
        owner = await login()
        await verify(client, await post.token(owner.email))
        name, _, domain = owner.email.partition("@")
        theirs = f"{name}+theirs@{domain}"
        created = await register(client, theirs)
        told = [await self.replaced(backstay, post, created.json()["id"]) for _ in range(7)]
        assert told.count([theirs]) == SHARE.limit
        assert await self.replaced(backstay, post, owner.id) == [owner.email]

    @staticmethod
    async def replaced(backstay: Backstay, post: Post, user_id: str) -> list[str]:
        """The recipients of notices about a changed password."""
        await post.deliver()
        by = PasswordSetter.OWNER
        await backstay.system(StorePassword(user_id=UUID(user_id), password_hash="x", new_by=by))
        return await recipients(post)


async def test_requests_of_strangers_do_not_block_a_users_password_reset(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    owner = await login()
    name, _, domain = owner.email.partition("@")
    for number in range(SHARE.limit):
        assert (await register(client, f"{name}+{number}@{domain}")).status_code == 201
    await post.deliver()
    await forgot(client, owner.email)
    assert await recipients(post) == [owner.email]
