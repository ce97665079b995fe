"""Shows that cached answers are correct for each user, outdated in time, and cost no query."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event

from backstay.caching import memory as cache_memory
from backstay.composition import Backstay
from backstay.core.permissions import Scope, Source
from backstay.features.access.schemas import Effect
from backstay.features.items.queries import GetItem, ListItems
from backstay.testing import FrozenClock, Login, Person
from backstay.testing.waiting import LIMIT, eventually
from tests.features.granting import grant
from tests.features.items.conftest import ITEMS, Make
from tests.features.steps import API, hears, running

pytestmark = pytest.mark.anyio
sqlite_only = pytest.mark.parametrize("database_kind", ["sqlite"])
Count = Callable[[], int]


@pytest.fixture
async def told_only(backstay: Backstay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached entries are used until they are invalidated, however late the channel is."""
    monkeypatch.setattr(cache_memory, "MAX_STALENESS", 10 * LIMIT)
    monkeypatch.setattr(backstay.principals, "_max_staleness", 10 * LIMIT)
    await hears(backstay)


@pytest.fixture
async def reads(backstay: Backstay, told_only: None) -> Count:
    """The number of statements on items since the last call."""
    asked: list[str] = []

    def remember(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM items" in statement:
            asked.append(statement)

    event.listen(backstay.database.read_engine.sync_engine, "before_cursor_execute", remember)

    def count() -> int:
        counted = len(asked)
        asked.clear()
        return counted

    return count


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def test_the_same_url_answers_everybody_with_their_own(
    ada: Person, eve: Person, make: Make, reads: Count
) -> None:
    item = await make(ada, "Ada's")
    await make(eve, "Eve's")
    for _ in range(2):
        assert titles(await ada.client.get(ITEMS)) == ["Ada's"]
        assert titles(await eve.client.get(ITEMS)) == ["Eve's"]
        assert (await ada.client.get(item["path"])).status_code == 200
        assert (await eve.client.get(item["path"])).status_code == 404
    assert reads() == 5  # what was not found is asked again


async def test_a_kept_answer_is_the_answer_byte_for_byte(
    ada: Person, make: Make, reads: Count
) -> None:
    items = [await make(ada, f"item {number}") for number in range(3)]
    for path in (items[0]["path"], f"{ITEMS}?per_page=1&page=2", f"{ITEMS}?limit=1"):
        reads()
        first, second = await ada.client.get(path), await ada.client.get(path)
        assert reads() <= 2
        assert (await ada.client.get(path)).content == first.content == second.content
        assert reads() == 0
        for name in ("etag", "link", "content-type", "cache-control", "vary"):
            assert second.headers.get(name) == first.headers.get(name)
    assert 'rel="next"' in second.headers["link"]


async def test_an_unchanged_item_is_confirmed_without_the_database(
    ada: Person, make: Make, reads: Count
) -> None:
    item = await make(ada)
    await ada.client.get(item["path"])
    reads()
    answer = await ada.client.get(item["path"], headers={"If-None-Match": item["tag"]})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", item["tag"])
    assert reads() == 0


async def test_every_change_is_seen_at_once_by_owner_and_administrator(
    ada: Person, login: Login, make: Make
) -> None:
    admin = await login("admin")
    of_ada = f"{API}/users/{ada.id}/items"
    item = await make(ada, "one")
    changes: list[tuple[Callable[[], Awaitable[httpx.Response]], list[str]]] = [
        (lambda: ada.client.patch(item["path"], json={"title": "two"}), ["two"]),
        (lambda: admin.client.put(item["path"], json={"title": "three"}), ["three"]),
        (lambda: admin.client.delete(item["path"]), []),
        (lambda: ada.client.post(f"{item['path']}/restore"), ["three"]),
        (lambda: ada.client.delete(f"{item['path']}?hard=true"), []),
    ]
    for change, expected in changes:
        for person in (ada, admin):
            await person.client.get(ITEMS)
            await person.client.get(of_ada)
            await person.client.get(item["path"])
        assert (await change()).is_success
        for person in (ada, admin):
            assert titles(await person.client.get(ITEMS)) == expected
            assert titles(await person.client.get(of_ada)) == expected
            answer = await person.client.get(item["path"])
            assert [answer.json().get("title")] == expected or answer.status_code == 404


@sqlite_only
async def test_one_users_write_leaves_what_is_kept_for_others(
    ada: Person, eve: Person, make: Make, reads: Count
) -> None:
    await make(ada)
    await ada.client.get(ITEMS)
    reads()
    await make(eve)
    await ada.client.get(ITEMS)
    assert reads() == 0


@sqlite_only
async def test_a_command_that_fails_outdates_nothing(ada: Person, make: Make, reads: Count) -> None:
    item = await make(ada)
    await ada.client.get(item["path"])
    reads()
    stale = {"If-Match": '"other"'}
    refused = await ada.client.patch(item["path"], json={"title": "x"}, headers=stale)
    assert refused.status_code == 412
    reads()
    await ada.client.get(item["path"])
    assert reads() == 0


async def test_rows_erased_with_a_user_disappear_for_everybody(
    ada: Person, login: Login, make: Make
) -> None:
    admin = await login("admin")
    item = await make(ada)
    assert (await admin.client.get(item["path"])).status_code == 200
    assert titles(await admin.client.get(ITEMS)) == ["Sextant"]
    erased = await admin.client.delete(f"{API}/users/{ada.id}?hard=true&cascade=true")
    assert erased.status_code == 204
    assert (await admin.client.get(item["path"])).status_code == 404
    assert titles(await admin.client.get(ITEMS)) == []


@sqlite_only
async def test_changed_grants_or_field_rules_never_show_old_cached_answers(
    ada: Person, eve: Person, make: Make, backstay: Backstay
) -> None:
    await make(ada, "Ada's")
    await make(eve, "Eve's")
    sorted_list = f"{ITEMS}?sort=title"
    assert titles(await ada.client.get(sorted_list)) == ["Ada's"]
    await grant(backstay, ada.id, "items:list", Scope.ANY, level=20)
    assert titles(await ada.client.get(sorted_list)) == ["Ada's", "Eve's"]
    rules = [(Source.QUERY, "title", Effect.DENY)]
    await grant(backstay, ada.id, "items:list", Scope.ANY, rules=rules, level=30)
    assert (await ada.client.get(sorted_list)).status_code == 403
    assert titles(await ada.client.get(ITEMS)) == ["Eve's", "Ada's"]


@sqlite_only
async def test_changing_a_returned_view_does_not_change_the_cache(
    ada: Person, make: Make, backstay: Backstay, reads: Count
) -> None:
    item = await make(ada)
    query = GetItem(id=UUID(item["id"]))
    first = await backstay.system(query)
    first.__dict__["title"] = "spoiled"
    page = await backstay.system(ListItems())
    page.__dict__["items"] = ()
    reads()
    assert (await backstay.system(query)).title == "Sextant"
    assert [each.title for each in (await backstay.system(ListItems())).items] == ["Sextant"]
    assert reads() == 0


@sqlite_only
async def test_system_answers_are_not_reused_for_users(
    ada: Person, make: Make, backstay: Backstay, reads: Count
) -> None:
    item = await make(ada)
    await backstay.system(GetItem(id=UUID(item["id"])))
    reads()
    assert (await ada.client.get(item["path"])).status_code == 200
    assert reads() == 1


class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"CACHE_TTL_SECONDS": "0", "CLIENT_CACHE_MAX_AGE": "0"}

    @sqlite_only
    async def test_without_caching_every_read_asks_the_database(
        self, ada: Person, make: Make, reads: Count, login: Login
    ) -> None:
        item = await make(ada)
        reads()
        for _ in range(2):
            answer = await ada.client.get(item["path"])
            assert reads() == 1
        admin = await login("admin")
        permissions = await admin.client.get(f"{API}/rbac/permissions")
        assert answer.headers["cache-control"] == permissions.headers["cache-control"] == "no-store"


async def test_clients_may_keep_what_says_so_for_themselves(login: Login, ada: Person) -> None:
    admin = await login("admin")
    path = f"{API}/rbac/permissions"
    allowed = await admin.client.get(path)
    assert allowed.headers["cache-control"] == "private, max-age=30"
    assert {"Authorization", "Cookie"} <= set(allowed.headers["vary"].replace(",", " ").split())
    refused = await ada.client.get(path)
    invalid = await admin.client.get(f"{path}?nope=1")
    assert (refused.status_code, invalid.status_code) == (403, 422)
    for answer in (refused, invalid, await ada.client.get(ITEMS)):
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("told_only")
async def test_a_write_by_another_process_is_seen(
    backstay: Backstay, ada: Person, make: Make, clock: FrozenClock
) -> None:
    item = await make(ada)
    await ada.client.get(item["path"])
    async with running(backstay.settings, clock) as other:
        changed = await other.patch(
            item["path"], json={"title": "new"}, headers=dict(ada.client.headers)
        )
        assert changed.status_code == 200
        await wait_for_title(ada, item["path"], "new")


async def wait_for_title(person: Person, path: str, title: str) -> None:
    """Wait until a user reads this title."""

    async def is_seen() -> bool:
        return bool((await person.client.get(path)).json()["title"] == title)

    await eventually(is_seen)


@sqlite_only
@pytest.mark.usefixtures("told_only")
async def test_hits_misses_and_invalidations_are_counted(
    ada: Person, make: Make, client: httpx.AsyncClient
) -> None:
    item = await make(ada)
    before = await counted(client)
    for _ in range(3):
        await ada.client.get(item["path"])
    await ada.client.patch(item["path"], json={"title": "new"})
    after = await counted(client)
    assert {name: after[name] - before[name] for name in after} == {
        'hits_total{place="process"}': 2,
        'hits_total{place="redis"}': 0,
        "misses_total": 1,
        "invalidations_total": 3,
    }


async def counted(client: httpx.AsyncClient) -> dict[str, float]:
    lines = (await client.get("/metrics")).text.splitlines()
    samples = [line.removeprefix("backstay_cache_").rpartition(" ") for line in lines]
    return {name: float(value) for name, _, value in samples if name.split("{")[0] in NAMES}


NAMES = {"hits_total", "misses_total", "invalidations_total"}
