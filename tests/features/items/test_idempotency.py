"""Shows that a creation repeated under one Idempotency-Key happens once and answers the same."""

import asyncio
from collections import Counter

import httpx
import pytest
from sqlalchemy import func, select

from backstay.composition import Backstay
from backstay.db.idempotency import StoredAnswer
from backstay.features.system.commands.purging import PurgeIdempotencyKeys
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, Person
from tests.features.items.conftest import ITEMS, Make
from tests.features.steps import AUTH, Trail, bearer, execute, running, said, sign_in
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

sqlite_only = pytest.mark.parametrize("database_kind", ["sqlite"])
SEXTANT = {"title": "Sextant"}


async def post(
    person: Person, key: str = "k", path: str = ITEMS, title: str = "Sextant"
) -> httpx.Response:
    return await person.client.post(path, json={"title": title}, headers={"Idempotency-Key": key})


async def count(person: Person) -> int:
    total: int = (await person.client.get(ITEMS)).json()["total"]
    return total


def same(first: httpx.Response, again: httpx.Response) -> None:
    """Assert that an answer equals the first one, byte for byte."""
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("location", "etag", "content-type"):
        assert again.headers.get(name) == first.headers.get(name)


async def test_a_repeated_creation_gets_the_first_answer(ada: Person, trail: Trail) -> None:
    first, again = await post(ada), await post(ada)
    assert first.status_code == 201
    same(first, again)
    assert await count(ada) == 1
    assert said(await trail()) == [("CreateItem", "ok", None)]


async def test_the_first_answer_stands_when_the_item_has_changed(ada: Person) -> None:
    first = await post(ada)
    await ada.client.patch(first.headers["location"], json={"title": "Octant"})
    same(first, await post(ada))


@sqlite_only
async def test_the_order_and_spacing_of_a_body_do_not_matter(ada: Person) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    first, again = [
        await ada.client.post(ITEMS, content=body, headers=headers)
        for body in ('{"title":"a","description":"b"}', '{ "description": "b", "title": "a" }')
    ]
    same(first, again)


async def test_a_key_belongs_to_its_body(ada: Person, trail: Trail) -> None:
    first = await post(ada)
    problem(await post(ada, title="Octant"), 422, "idempotency_key_reused")
    same(first, await post(ada))
    assert await count(ada) == 1
    assert said(await trail()) == [("CreateItem", "ok", None)]


async def test_a_key_belongs_to_its_sender(ada: Person, eve: Person) -> None:
    hers, theirs = await post(ada), await post(eve)
    assert "idempotent-replayed" not in theirs.headers
    assert hers.json()["id"] != theirs.json()["id"]
    assert (await count(ada), await count(eve)) == (1, 1)


async def test_a_key_belongs_to_its_path(ada: Person, make: Make) -> None:
    answers = []
    for item in [await make(ada), await make(ada)]:
        await ada.client.delete(item["path"])
        headers = {"Idempotency-Key": "k"}
        answers += [await ada.client.post(f"{item['path']}/restore", headers=headers)]
        same(answers[-1], await ada.client.post(f"{item['path']}/restore", headers=headers))
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert await count(ada) == 2


async def test_after_a_day_a_key_may_be_used_again(
    ada: Person, clock: FrozenClock, backstay: Backstay
) -> None:
    first = await post(ada)
    clock.forward(hours=23, minutes=59)
    await sign_in_again(ada)
    same(first, await post(ada))
    clock.forward(minutes=1)
    second = await post(ada)
    assert second.json()["id"] != first.json()["id"]
    same(second, await post(ada))
    assert await backstay.system(PurgeIdempotencyKeys()) is False
    assert await stored(backstay) == 1
    clock.forward(hours=24)
    assert await backstay.system(PurgeIdempotencyKeys()) is False
    assert await stored(backstay) == 0


async def sign_in_again(person: Person) -> None:
    tokens = (await sign_in(person.client, person.email)).json()
    person.client.headers.update(bearer(tokens["access_token"]))


async def stored(backstay: Backstay) -> int:
    statement = select(func.count()).select_from(StoredAnswer)
    number: int = (await execute(backstay, statement)).scalar_one()
    return number


@sqlite_only
async def test_a_sender_without_permission_gets_no_stored_answer(ada: Person, login: Login) -> None:
    await post(ada)
    admin = await login("admin")
    roles = (await admin.client.get(f"/api/v1/rbac/users/{ada.id}/roles")).json()["items"]
    (role,) = [role["id"] for role in roles]
    await admin.client.delete(f"/api/v1/rbac/roles/{role}/users/{ada.id}")
    problem(await post(ada), 403, "forbidden")


@sqlite_only
async def test_a_refused_request_may_be_corrected_under_its_key(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    problem(await post(ada, title=""), 422, "validation_error")
    gone = f"{ITEMS}/{ada.id}/restore"
    headers = {"Idempotency-Key": "k"}
    for _ in range(2):
        problem(await ada.client.post(gone, headers=headers), 404)
    assert await stored(backstay) == 0
    assert (await post(ada)).status_code == 201


@sqlite_only
@pytest.mark.parametrize("key", ["", " ", "k" * 256, "a\tb", "a\x7fb", "schlüssel"])
async def test_a_malformed_key_is_refused(ada: Person, key: str) -> None:
    headers = [(b"idempotency-key", key.encode())]
    body = problem(await ada.client.post(ITEMS, json=SEXTANT, headers=headers), 400, "bad_request")
    assert "1 to 255" in body["detail"]
    assert await count(ada) == 0


@sqlite_only
async def test_a_repeated_header_is_refused(ada: Person) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    problem(await ada.client.post(ITEMS, json=SEXTANT, headers=headers), 400, "bad_request")


@sqlite_only
async def test_the_longest_key_is_taken(ada: Person) -> None:
    same(await post(ada, "k" * 255), await post(ada, "k" * 255))


@sqlite_only
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_ignore_the_key(
    ada: Person, make: Make, backstay: Backstay, method: str
) -> None:
    item = await make(ada)
    body = None if method == "DELETE" else {"title": "Octant"}
    answer = await ada.client.request(
        method, item["path"], json=body, headers={"Idempotency-Key": "k" * 256}
    )
    assert answer.is_success, answer.text
    assert await stored(backstay) == 0


@sqlite_only
async def test_signing_in_ignores_the_key(ada: Person, backstay: Backstay) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"email": ada.email, "password": "correct horse battery"}
    answers = [await ada.client.post(f"{AUTH}/login", json=body, headers=headers) for _ in "ab"]
    assert len({answer.json()["access_token"] for answer in answers}) == 2
    change = {"current_password": body["password"], "new_password": "a staple of horses"}
    path = f"{AUTH}/password/change"
    assert (await ada.client.post(path, json=change, headers=headers)).status_code == 204
    problem(await ada.client.post(path, json=change, headers=headers), 403)
    assert await stored(backstay) == 0


async def test_two_hundred_at_once_create_one_item(ada: Person) -> None:
    answers = await asyncio.gather(*[post(ada) for _ in range(200)])
    await assert_one(ada, answers)


async def test_several_servers_create_one_item(
    ada: Person, settings: Settings, clock: FrozenClock
) -> None:
    async with running(settings, clock) as one, running(settings, clock) as two:
        headers = {"Idempotency-Key": "k", **bearer(ada.tokens["access_token"])}
        clients = [ada.client, one, two] * 20
        answers = await asyncio.gather(
            *[client.post(ITEMS, json=SEXTANT, headers=headers) for client in clients]
        )
        await assert_one(ada, answers)


async def assert_one(person: Person, answers: list[httpx.Response]) -> None:
    assert await count(person) == 1
    seen = Counter(
        (answer.status_code, answer.headers.get("idempotent-replayed")) for answer in answers
    )
    assert seen[201, None] == 1
    assert set(seen) <= {(201, None), (201, "true"), (409, None)}
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "idempotency_in_flight")
            assert answer.headers["retry-after"] == "1"
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    replay = await post(person)
    assert replay.headers["idempotent-replayed"] == "true"
