"""Shows that a new password needs the old one and ends every other session at once."""

from uuid import UUID

import anyio
import httpx
import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.core.errors import Conflict
from backstay.features.users.commands.credentials import StorePassword
from backstay.testing import PASSWORD, Login, Person
from tests.features.steps import (
    AUTH,
    OTHER_PASSWORD,
    bearer,
    client_at,
    is_signed_in,
    refresh,
    sign_in,
)
from tests.services.valkey import ValkeyServer
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

CHANGE = f"{AUTH}/password/change"


async def change(
    person: Person, current: str = PASSWORD, new: str = OTHER_PASSWORD
) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return await person.client.post(CHANGE, json=body)


async def test_this_session_stays_and_all_others_end(
    login: Login, client: httpx.AsyncClient
) -> None:
    here, there, stranger = await login("admin"), await login("admin"), await login()
    assert await is_signed_in(client, there.tokens["access_token"])
    answer = await change(here)
    assert (answer.status_code, answer.content) == (204, b"")
    for person, stays in ((here, True), (there, False), (stranger, True)):
        assert await is_signed_in(client, person.tokens["access_token"]) is stays
        answer = await refresh(client, person.tokens["refresh_token"])
        assert (answer.status_code == 200) is stays
    listed = (await here.client.get(f"{AUTH}/sessions")).json()["items"]
    assert [session["id"] for session in listed] == [here.tokens["session_id"]]


async def test_only_the_new_password_signs_in(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    await change(person)
    problem(await sign_in(client, person.email), 401, "auth_error")
    assert (await sign_in(client, person.email, password=OTHER_PASSWORD)).status_code == 200


async def test_a_wrong_current_password_changes_nothing(
    login: Login, client: httpx.AsyncClient
) -> None:
    here, there = await login("admin"), await login("admin")
    problem(await change(here, current="not this one"), 403, "users.wrong_password")
    assert await is_signed_in(client, there.tokens["access_token"])
    problem(await sign_in(client, here.email, password=OTHER_PASSWORD), 401)


async def test_of_two_concurrent_changes_one_is_refused(
    login: Login, client: httpx.AsyncClient
) -> None:
    people = [await login("admin"), await login("admin")]
    answers: dict[int, httpx.Response] = {}

    async def one(number: int) -> None:
        answers[number] = await change(people[number], new=f"brand new {number}!")

    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(one, number)
    assert sorted(answer.status_code for answer in answers.values())[0] == 204
    (winner,) = (number for number, answer in answers.items() if answer.status_code == 204)
    for number, person in enumerate(people):
        stays = number == winner
        assert await is_signed_in(client, person.tokens["access_token"]) is stays
        signed_in = await sign_in(client, person.email, password=f"brand new {number}!")
        assert (signed_in.status_code == 200) is stays


async def test_a_concurrent_sign_in_does_not_restore_the_old_password(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    person = await login()
    await change(person)
    old = await backstay.passwords.hash(PASSWORD)
    renewal = StorePassword(user_id=UUID(person.id), password_hash=old, epoch=0)
    with pytest.raises(Conflict):
        await backstay.system(renewal)
    problem(await sign_in(client, person.email), 401)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("seven..", "string_too_short"),
        ("x" * 129, "string_too_long"),
        ("password123", "common_password"),
        ("zzzzzzzzzz", "common_password"),
        ("my person0 pass", "personal_password"),
    ],
)
async def test_the_new_password_must_be_a_good_one(login: Login, new: str, code: str) -> None:
    person = await login()
    assert person.email == "person0@example.org"
    body = problem(await change(person, new=new), 422, "validation_error")
    assert fields_of(body) == {"new_password": code}
    assert new not in str(body)


async def test_strangers_are_refused_before_their_body_is_read(client: httpx.AsyncClient) -> None:
    problem(await client.post(CHANGE, json={"current_password": 1}), 401, "auth_error")


class TestUnderLimits:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true", "SECURITY_LOGIN_RATE_LIMIT": "4/minute"}

    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    async def test_a_stolen_access_token_cannot_guess_from_many_addresses(
        self, app: FastAPI, login: Login
    ) -> None:
        person = await login()
        body = {"current_password": "a guess", "new_password": OTHER_PASSWORD}
        answers: list[httpx.Response] = []
        for number in range(6):
            async with client_at(app, f"198.51.100.{number}") as thief:
                headers = bearer(person.tokens["access_token"])
                answers.append(await thief.post(CHANGE, json=body, headers=headers))
        assert [answer.status_code for answer in answers] == [403] * 4 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) > 0
        problem(answers[-1], 429, "rate_limited")


class TestWithoutRedis:
    @pytest.fixture
    def variables(self, valkey: ValkeyServer) -> dict[str, str]:
        return {
            "REDIS_URL": valkey.url,
            "RATE_LIMIT_ENABLED": "true",
            "SECURITY_LOGIN_RATE_LIMIT": "6/hour",
        }

    async def test_half_as_many_guesses_are_allowed(
        self, login: Login, valkey: ValkeyServer
    ) -> None:
        person = await login()
        with valkey.frozen():
            answers = [await change(person, current="a guess") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [403] * 3 + [429] * 2
