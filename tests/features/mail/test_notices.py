"""Shows that users are mailed about changes to their accounts, whoever makes them."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from backstay.composition import Backstay
from backstay.core.mail import Mail
from backstay.features.auth.commands import devices
from backstay.features.auth.commands.devices import PurgeDevices
from backstay.features.auth.model import Device
from backstay.features.mail.commands.notices import tell_former_address
from backstay.features.users.events import EmailReplaced
from backstay.testing import PASSWORD, FrozenClock, Login, client_of
from tests.features.mail.post import Post, reset
from tests.features.steps import API, AUTH, OTHER_PASSWORD, client_at, execute, refresh, sign_in

pytestmark = pytest.mark.anyio

REPLACED = "Your password at Backstay was replaced"
NEW_DEVICE = "A new device signed in to your account at Backstay"
PHONE = "Mozilla/5.0 (Android 15; <b>pay now: https://pay.example</b>) Firefox/140.0"
COPIED = "Somebody may be using a copy of your sign-in at Backstay"


@pytest.fixture
def variables() -> dict[str, str]:
    return {"MAIL_NOTICES": "true"}


def notices(mails: Sequence[Mail]) -> list[tuple[str, str]]:
    """The recipients and subjects of mails, except those with a link to confirm an address."""
    return [(m.recipient, m.subject) for m in mails if "token=" not in m.text]


async def test_a_changed_password_is_announced(login: Login, post: Post) -> None:
    person = await login()
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    answer = await person.client.post(f"{AUTH}/password/change", json=body)
    assert answer.status_code == 204
    (mail,) = [m for m in await post.deliver() if "token=" not in m.text]
    assert (mail.recipient, mail.subject) == (person.email, REPLACED)
    for form in (mail.text, mail.html):
        assert "knew the" in form
        assert "http://127.0.0.1:8000/forgot-password" in form
        assert OTHER_PASSWORD not in form


async def test_a_reset_password_is_announced(
    client: httpx.AsyncClient, login: Login, post: Post
) -> None:
    person = await login()
    token = await post.reset_token(client, person.email)
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == 204
    (mail,) = await post.deliver()
    assert (mail.recipient, mail.subject) == (person.email, REPLACED)
    assert "with a link that we had" in mail.text


async def test_changes_by_an_administrator_are_announced(login: Login, post: Post) -> None:
    person, admin = await login(), await login("admin")
    await post.deliver()
    users = f"{API}/users/{person.id}"
    body = {"new_password": OTHER_PASSWORD}
    assert (await admin.client.put(f"{users}/password", json=body)).status_code == 200
    (mail,) = await post.deliver()
    assert (mail.recipient, mail.subject) == (person.email, REPLACED)
    assert "An administrator" in mail.text
    address = {"email": "elsewhere@example.com"}
    assert (await admin.client.patch(users, json=address)).status_code == 200
    assert notices(await post.deliver()) == [
        (person.email, "Your e-mail address at Backstay was replaced")
    ]


async def test_a_refused_change_sends_no_notice(login: Login, post: Post) -> None:
    person = await login()
    await post.deliver()
    body = {"current_password": OTHER_PASSWORD, "new_password": PASSWORD}
    await person.client.post(f"{AUTH}/password/change", json=body)
    await sign_in(person.client, person.email, password=OTHER_PASSWORD)
    assert await post.deliver() == []


async def from_device(client: httpx.AsyncClient, email: str, agent: str) -> int:
    answer = await client.post(
        f"{AUTH}/login",
        json={"email": email, "password": PASSWORD, "transport": "body"},
        headers={"user-agent": agent},
    )
    return answer.status_code


async def test_each_further_device_is_announced_once(
    login: Login, client: httpx.AsyncClient, post: Post, clock: FrozenClock
) -> None:
    person = await login()
    assert notices(await post.deliver()) == []
    for _ in range(2):
        assert await from_device(client, person.email, PHONE) == 200
        clock.forward(days=100)
    (mail,) = await post.deliver()
    assert (mail.recipient, mail.subject) == (person.email, NEW_DEVICE)
    for form in (mail.text, mail.html):
        assert "Firefox, Android" in form
        assert "192.0.2.1" in form
        assert "pay" not in form


async def test_a_browser_is_known_by_its_cookie(login: Login, app: FastAPI, post: Post) -> None:
    person = await login()
    await post.deliver()
    body = {"email": person.email, "password": PASSWORD}
    async with client_of(app) as browser:
        for agent in ("Browser/1.0", "Browser/2.0"):
            answer = await browser.post(f"{AUTH}/login", json=body, headers={"user-agent": agent})
            assert answer.status_code == 200
        assert notices(await post.deliver()) == [(person.email, NEW_DEVICE)]
        other = await login()
        await post.deliver()
        body["email"] = other.email
        assert (await browser.post(f"{AUTH}/login", json=body)).status_code == 200
        assert notices(await post.deliver()) == [(other.email, NEW_DEVICE)]


async def test_concurrent_sign_ins_of_one_device_are_announced_once(
    login: Login, client: httpx.AsyncClient, post: Post
) -> None:
    person = await login()
    await post.deliver()
    signing_in = [from_device(client, person.email, "Phone/1.0") for _ in range(5)]
    assert await asyncio.gather(*signing_in) == [200] * 5
    assert notices(await post.deliver()) == [(person.email, NEW_DEVICE)]


async def test_a_device_is_forgotten_after_half_a_year(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, post: Post, clock: FrozenClock
) -> None:
    person = await login()
    await from_device(client, person.email, "Phone/1.0")
    clock.forward(days=100)
    await from_device(client, person.email, "Laptop/1.0")
    await post.deliver()
    clock.forward(days=81)
    await backstay.system(PurgeDevices())
    assert notices(await post.deliver()) == []
    await from_device(client, person.email, "Laptop/1.0")
    assert notices(await post.deliver()) == []
    await from_device(client, person.email, "Phone/1.0")
    assert notices(await post.deliver()) == [(person.email, NEW_DEVICE)]


async def test_after_a_long_absence_the_next_device_is_announced(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, post: Post, clock: FrozenClock
) -> None:
    person = await login()
    await post.deliver()
    clock.forward(days=400)
    await backstay.system(PurgeDevices())
    await from_device(client, person.email, "Laptop/1.0")
    assert notices(await post.deliver()) == [(person.email, NEW_DEVICE)]


async def test_the_usual_user_agent_hides_no_other_browser(
    login: Login, app: FastAPI, post: Post
) -> None:
    person = await login()
    await post.deliver()
    body = {"email": person.email, "password": PASSWORD}
    for address, news in (("203.0.113.1", 1), ("203.0.113.1", 0), ("198.51.100.9", 1)):
        async with client_at(app, address, headers={"user-agent": "Chrome/1"}) as browser:
            assert (await browser.post(f"{AUTH}/login", json=body)).status_code == 200
        assert len(notices(await post.deliver())) == news


async def test_only_the_most_recently_used_devices_are_remembered(
    login: Login,
    client: httpx.AsyncClient,
    backstay: Backstay,
    post: Post,
    clock: FrozenClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "MOST_DEVICES", 4)
    person = await login()

    async def news_of(agent: str) -> int:
        clock.forward(days=2)
        assert await from_device(client, person.email, agent) == 200
        return len(notices(await post.deliver()))

    assert [await news_of(agent) for agent in ("Used/1", "New/0", "New/1")] == [1] * 3
    assert [await news_of("Used/1") for _ in range(2)] == [0] * 2
    assert [await news_of(f"New/{number}") for number in (2, 3)] == [1] * 2
    kept = await execute(backstay, select(func.count()).select_from(Device))
    assert kept.scalar_one() == 4
    assert [await news_of(agent) for agent in ("Used/1", "New/3", "New/0")] == [0, 0, 1]


async def test_a_copied_token_is_announced_once_and_at_session_end(
    login: Login, app: FastAPI, post: Post, clock: FrozenClock
) -> None:
    person = await login()
    await post.deliver()
    async with client_at(app, "198.51.100.9", headers={"user-agent": "curl/8"}) as thief:
        first = person.tokens["refresh_token"]
        second = (await refresh(person.client, first)).json()["refresh_token"]
        for _ in range(3):
            await refresh(thief, first)
        (mail,) = await post.deliver()
        assert (mail.recipient, mail.subject) == (person.email, COPIED)
        assert "curl" in mail.text
        assert "198.51.100.9" in mail.text
        assert "We signed that device out" not in mail.text
        clock.forward(seconds=60)
        assert (await refresh(thief, second)).status_code == 200
        clock.forward(seconds=60)
        assert (await refresh(person.client, second)).status_code == 401
    (mail,) = await post.deliver()
    assert (mail.recipient, mail.subject) == (person.email, COPIED)
    assert "We signed that device out" in mail.text


class TestLocal:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {}

    async def test_in_local_no_notices_are_sent(self, login: Login, post: Post) -> None:
        person = await login()
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        await person.client.post(f"{AUTH}/password/change", json=body)
        assert notices(await post.deliver()) == []


async def test_an_old_event_without_the_former_address_sends_no_mail() -> None:
    assert tell_former_address(EmailReplaced(user_id=uuid4())) is None
