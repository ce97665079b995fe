"""Shows that no route reveals or changes data of another user, by calling every route."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.testing import Login, Person
from tests.features.access.steps import RoleKeeper, done, permissions_by_key, role_path
from tests.features.route_walker import Place, Target, everything, places
from tests.features.steps import API, ME, needs
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]

SECRET = "Longitude"
QUERIES = (
    "",
    "total=false",
    "per_page=1000",
    "limit=5",
    "sort=-created_at",
    "sort=email",
    "sort=title",
    f"q={SECRET}",
    f"name__contains={SECRET}",
    f"title__contains={SECRET}",
    "email__contains=ada",
    "role=hers",
    "is_deleted=false",
    "created_at__gte=2000-01-01T00:00:00Z",
    "owner_id={user}",
    "user_id={user}",
    "session_id={session}",
)


PRIVATE = tuple(f"{API}/{name}" for name in ("items", "auth", "tasks", "system/bulk"))
"""Routes that do not even reveal that data of another user exists."""


class Scenario:
    """Ada owns rows of every kind; Eve tries to reach them."""

    def __init__(self, keeper: RoleKeeper, ada: Person, eve: Person) -> None:
        self.keeper, self.ada, self.eve = keeper, ada, eve
        self.target: Any = None
        self.hidden: Any = None
        self.secrets: set[str] = set()

    async def prepare(self) -> None:
        keeper, ada = self.keeper, self.ada
        named = {"name": f"Ada {SECRET}", "username": "ada.longitude"}
        await done(ada.client.patch(ME, json=named), 200)
        items = [
            await done(ada.client.post(f"{API}/items", json={"title": f"{SECRET} {n}"}))
            for n in range(3)
        ]
        await done(ada.client.delete(f"{API}/items/{items[1]['id']}"), 204)
        role = await keeper.role(name="hers", level=5)
        await keeper.grant(role, "users:list", "OWN", [("QUERY", "email", "DENY")])
        await keeper.assign(role, ada)
        ids = (ada.id, named["username"], ada.tokens["session_id"])
        grant = (
            keeper.id_of("users:list"),
            keeper.field_id("users:list", "QUERY", "email"),
        )
        task = await done(ada.client.post(f"{API}/tasks", json={"task": "demo.count"}), 202)
        asked = {"operation": "delete_item", "ids": [items[0]["id"]]}
        bulk = await done(ada.client.post(f"{API}/system/bulk", json=asked), 202)
        self.target = Target(*ids, items[0]["id"], role["id"], *grant, task["id"], bulk["id"])
        self.hidden = Target(*ids, items[1]["id"], role["id"], *grant)
        self.secrets = {*ids, *named.values(), ada.email, *(item["id"] for item in items)}
        self.secrets |= {item["title"] for item in items} | {task["id"], bulk["id"]}

    async def empower(self) -> None:
        """Grant Eve every permission at the scope `OWN`."""
        role = await self.keeper.role(level=500)
        for permission in self.keeper.permissions:
            await self.keeper.grant(role, permission, "OWN")
        await self.keeper.assign(role, self.eve)

    def leaks(self, answer: httpx.Response) -> set[str]:
        """The data of Ada in an answer that were not in its request."""
        asked = str(answer.request.url)
        told = answer.text + str(answer.headers)
        return {secret for secret in self.secrets if secret in told and secret not in asked}

    def urls(self, place: Place) -> Iterator[str]:
        ids = {"user": self.ada.id, "session": self.ada.tokens["session_id"]}
        for query in QUERIES if place.is_list else ("",):
            yield f"{self.target.path(place.template)}?{query.format(**ids)}".rstrip("?")


def readings(app: FastAPI) -> list[Place]:
    """Every reading route, untargeted ones first: refusals would appear in Eve's own trail."""
    found = [place for place in places(app) if place.method == "GET" and not place.is_public]
    return sorted(found, key=lambda place: "{" in place.template)


@pytest.fixture
async def scenario(login: Login) -> Scenario:
    admin = await login("admin")
    keeper = RoleKeeper(admin, await permissions_by_key(admin))
    scenario = Scenario(keeper, await login(name="ada"), await login(name="eve"))
    await scenario.prepare()
    return scenario


@pytest.fixture(params=["a user", "everything of one's own"])
async def eve(scenario: Scenario, request: pytest.FixtureRequest) -> Person:
    if request.param != "a user":
        await scenario.empower()
    return scenario.eve


async def test_no_reading_route_tells_anything(
    scenario: Scenario, eve: Person, app: FastAPI
) -> None:
    readable = set()
    for place in readings(app):
        for url in scenario.urls(place):
            answer = await eve.client.get(url)
            assert answer.status_code in {200, 403, 404, 422}, (url, answer.text)
            assert scenario.leaks(answer) == set(), (url, answer.text)
            if answer.status_code == 200:
                readable.add(place.name)
                _check_count(answer.json())
    assert {"GetMe", "ExportMe", "ListItems", "ListItemsOfUser", "ListSessions"} <= readable


def _check_count(body: dict[str, Any]) -> None:
    if body.get("total") is not None and not body["has_more"]:
        assert body["total"] == len(body["items"])


async def test_the_walk_would_see_a_leak(scenario: Scenario, app: FastAPI) -> None:
    """Control: an administrator and Ada see all of these data on the same routes."""
    seen, queries = set(), set()
    for client, place in product((scenario.keeper.client, scenario.ada.client), readings(app)):
        for url in scenario.urls(place):
            found = scenario.leaks(await client.get(url))
            seen |= found
            queries |= {url.partition("?")[2].partition("=")[0]} if found else set()
    assert seen == scenario.secrets
    assert queries >= {query.partition("=")[0] for query in QUERIES}


async def test_no_tag_or_cursor_of_another_opens_anything(
    scenario: Scenario, eve: Person, app: FastAPI
) -> None:
    tags = cursors = 0
    for place in readings(app):
        path = scenario.target.path(place.template)
        for owner in (scenario.ada, scenario.keeper.admin):
            known = await owner.client.get(path)
            if (tag := known.headers.get("etag")) and scenario.leaks(known):
                for given in (tag, "*") if "{" in place.template else (tag,):
                    answer = await eve.client.get(path, headers={"If-None-Match": given})
                    assert answer.status_code != 304, path
                    assert scenario.leaks(answer) == set(), path
                    tags += 1
            known = await owner.client.get(path, params={"limit": 1})
            if known.is_success and (cursor := known.json().get("next_cursor")):
                answer = await eve.client.get(path, params={"limit": 1, "cursor": cursor})
                assert answer.status_code in {200, 403}, answer.text
                assert scenario.leaks(answer) == set(), path
                cursors += 1
    assert tags >= 5
    assert cursors >= 5


async def test_no_changing_route_reaches_anything(
    scenario: Scenario, eve: Person, app: FastAPI, backstay: Backstay
) -> None:
    before, tried = await everything(backstay), set()
    jobs = f"{API}/system/jobs"  # whoever may ask for jobs finds no others than the own tasks
    private = (*PRIVATE, jobs) if (await eve.client.get(jobs)).is_success else PRIVATE
    for place in places(app):
        if place.method == "GET" or not place.is_aimed(scenario.target):
            continue
        status = 404 if place.template.startswith(private) else 403
        for target, headers in product((scenario.target, scenario.hidden), ({}, {"If-Match": "*"})):
            body = target.body(place.name) if place.has_body else None
            for url in ways(place, target):
                answer = await eve.client.request(place.method, url, json=body, headers=headers)
                problem(answer, status)
                assert scenario.leaks(answer) == set()
        tried.add(place.name)
    assert len(tried) >= 20
    assert await everything(backstay) == before


def ways(place: Place, target: Target) -> Iterator[str]:
    """The path to a target, and again with every flag of the query switched on."""
    path = target.path(place.template)
    yield path
    if place.method == "DELETE" and place.has_query:
        switches = {"hard", "cascade"} & place.message.model_fields.keys()
        yield f"{path}?{'&'.join(f'{name}=true' for name in sorted(switches))}"


async def test_not_even_what_was_deleted_can_be_brought_back(
    scenario: Scenario, eve: Person, backstay: Backstay
) -> None:
    keeper = scenario.keeper
    await done(keeper.client.delete(f"{API}/users/{scenario.ada.id}"), 204)
    await done(keeper.client.delete(f"{API}/rbac/roles/{scenario.target.role}"), 204)
    before = await everything(backstay)
    for path, status in (
        (f"{API}/users/{scenario.ada.id}/restore", 403),
        (f"{API}/items/{scenario.hidden.item}/restore", 404),
        (f"{role_path({'id': scenario.target.role})}/restore", 403),
    ):
        problem(await eve.client.post(path), status)
    assert await everything(backstay) == before
