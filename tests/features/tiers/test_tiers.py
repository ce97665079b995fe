"""Shows how tiers are made, renamed and removed, by whom, and what keeps them."""

from typing import Any

import anyio
import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.steps import API, ME, Trail, said
from tests.features.tiers.conftest import TIERS, MakeTier, add_limit, assign
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio


async def test_a_tier_is_made_found_changed_and_deleted(admin: Person, trail: Trail) -> None:
    client = admin.client
    made = await client.post(TIERS, json={"name": "pro", "description": "Pays."})
    assert made.status_code == 201
    assert made.headers["location"] == f"{TIERS}/pro"
    assert made.json()["rate_limits"] == []
    found = await client.get(f"{TIERS}/pro")
    assert found.json() == made.json()
    assert found.headers["etag"] == made.headers["etag"]
    same = await client.get(f"{TIERS}/pro", headers={"If-None-Match": found.headers["etag"]})
    assert same.status_code == 304
    changed = await client.patch(f"{TIERS}/pro", json={"name": "gold"})
    assert (changed.status_code, changed.json()["description"]) == (200, "Pays.")
    problem(await client.get(f"{TIERS}/pro"), 404)
    assert (await client.delete(f"{TIERS}/gold")).status_code == 204
    problem(await client.delete(f"{TIERS}/gold"), 404)
    assert said(await trail()) == [
        ("CreateTier", "ok", None),
        ("UpdateTier", "ok", None),
        ("DeleteTier", "ok", None),
        ("DeleteTier", "refused", "not_found"),
    ]


async def test_tiers_are_a_list_like_any_other(admin: Person, make_tier: MakeTier) -> None:
    for name in ("pro", "gold"):
        await make_tier(name)
    page = (await admin.client.get(f"{TIERS}?sort=name&per_page=2")).json()
    assert [tier["name"] for tier in page["items"]] == ["free", "gold"]
    assert (page["total"], page["has_more"]) == (3, True)
    found = (await admin.client.get(f"{TIERS}?name__contains=PR")).json()
    assert [tier["name"] for tier in found["items"]] == ["pro"]
    problem(await admin.client.get(f"{TIERS}?limits=1"), 422)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_name_fits_into_a_path(admin: Person) -> None:
    for name in ("", "a b", "a/b", ".", "..", "-a", "é", "a\0", "x" * 65, None):
        refused = await admin.client.post(TIERS, json={"name": name})
        assert fields_of(problem(refused, 422, "validation_error")).keys() <= {"name", "body"}
    for name in ("a", "0", "Pro_2.0-x", "x" * 64):
        made = await admin.client.post(TIERS, json={"name": name})
        assert (await admin.client.get(made.headers["location"])).json()["name"] == name


async def test_a_name_belongs_to_one_tier(admin: Person, make_tier: MakeTier) -> None:
    await make_tier("pro")
    problem(await admin.client.post(TIERS, json={"name": "pro"}), 409, "tiers.name_taken")
    taken = await admin.client.patch(f"{TIERS}/pro", json={"name": "free"})
    problem(taken, 409, "tiers.name_taken")


async def test_of_two_equal_tiers_made_at_once_one_succeeds(admin: Person) -> None:
    answers: list[httpx.Response] = []

    async def make() -> None:
        answers.append(await admin.client.post(TIERS, json={"name": "pro"}))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(make)
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 4
    for answer in refused:
        problem(answer, 409, "tiers.name_taken")


async def test_users_follow_when_their_tier_is_renamed(
    admin: Person, login: Login, make_tier: MakeTier
) -> None:
    person = await login()
    await make_tier("pro", person)
    await add_limit(admin, "pro", ME, 7)
    assert (await person.client.get(ME)).json()["tier"] == "pro"
    assert (await admin.client.patch(f"{TIERS}/pro", json={"name": "gold"})).status_code == 200
    assert (await person.client.get(ME)).json()["tier"] == "gold"
    assert (await admin.client.get(f"{API}/users/{person.id}")).json()["tier"] == "gold"
    tier = (await admin.client.get(f"{TIERS}/gold")).json()
    assert [limit["path"] for limit in tier["rate_limits"]] == [ME]


async def test_a_tier_in_use_stays(admin: Person, login: Login, make_tier: MakeTier) -> None:
    person = await login()
    await make_tier("pro", person)
    refused = problem(await admin.client.delete(f"{TIERS}/pro"), 409, "tiers.in_use")
    assert refused["detail"].startswith("Users in it: 1")
    assert (await admin.client.delete(f"{API}/users/{person.id}")).status_code == 204
    problem(await admin.client.delete(f"{TIERS}/pro"), 409, "tiers.in_use")
    await assign(admin, person, "free")
    assert (await admin.client.delete(f"{TIERS}/pro")).status_code == 204


async def test_deleting_a_tier_deletes_its_rate_limits(admin: Person, make_tier: MakeTier) -> None:
    await make_tier("pro")
    await add_limit(admin, "pro", ME, 7)
    assert (await admin.client.delete(f"{TIERS}/pro")).status_code == 204
    assert (await make_tier("pro"))["rate_limits"] == []


async def test_the_tier_of_new_users_keeps_its_name(admin: Person) -> None:
    renamed = await admin.client.patch(f"{TIERS}/free", json={"name": "basic"})
    assert "ADMIN_TIER_NAME" in problem(renamed, 409, "tiers.protected")["detail"]
    described = await admin.client.patch(f"{TIERS}/free", json={"name": "free", "description": "x"})
    assert described.json()["description"] == "x"
    problem(await admin.client.delete(f"{TIERS}/free"), 409, "tiers.in_use")


async def test_a_stale_tag_does_not_overwrite_a_tier(admin: Person, make_tier: MakeTier) -> None:
    await make_tier("pro")
    stale = {"If-Match": (await admin.client.get(f"{TIERS}/pro")).headers["etag"]}
    await add_limit(admin, "pro", ME, 7)
    body = {"description": "x"}
    problem(await admin.client.patch(f"{TIERS}/pro", json=body, headers=stale), 412)
    problem(await admin.client.delete(f"{TIERS}/pro", headers=stale), 412)
    fresh = {"If-Match": (await admin.client.get(f"{TIERS}/pro")).headers["etag"]}
    changed = await admin.client.patch(f"{TIERS}/pro", json=body, headers=fresh)
    assert changed.status_code == 200


WAYS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "", None),
    ("POST", "", {"name": "pro"}),
    ("GET", "/free", None),
    ("PATCH", "/free", {"description": "x"}),
    ("DELETE", "/free", None),
    ("GET", "/free/rate-limits", None),
    ("POST", "/free/rate-limits", {"path": ME, "limit": 1, "period": 1}),
]
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NESTED: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", f"/free/rate-limits/{ID}", None),
    ("PATCH", f"/free/rate-limits/{ID}", {"limit": 1}),
    ("DELETE", f"/free/rate-limits/{ID}", None),
]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nobody_reaches_tiers_without_a_permission(login: Login) -> None:
    person = await login()
    for method, path, body in WAYS + NESTED:
        problem(await person.client.request(method, TIERS + path, json=body), 403, "forbidden")


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_under_own_scope_no_tier_is_listed(
    login: Login, backstay: Backstay, make_tier: MakeTier
) -> None:
    await make_tier("pro")
    person = await login()
    for action in ("create", "list", "read", "update", "delete"):
        await grant(backstay, person.id, f"tiers:{action}", Scope.OWN)
    assert (await person.client.get(TIERS)).json()["items"] == []
    assert (await person.client.get(f"{TIERS}/free")).status_code == 200
    assert (await person.client.get(f"{TIERS}/free/rate-limits")).status_code == 200
    for path in ("/pro", "/pro/rate-limits", f"/pro/rate-limits/{ID}", "/none"):
        problem(await person.client.get(TIERS + path), 404)
    for method, path, body in WAYS + NESTED:
        if method != "GET":
            problem(await person.client.request(method, TIERS + path, json=body), 403)


async def test_the_default_tier_cannot_be_deleted_even_if_empty(
    admin: Person, login: Login, make_tier: MakeTier
) -> None:
    await make_tier("pro")
    await assign(admin, admin, "pro")
    refused = problem(await admin.client.delete(f"{TIERS}/free"), 409, "tiers.protected")
    assert "ADMIN_TIER_NAME" in refused["detail"]
