"""Shows an application without the feature `tiers`: one built-in tier, and rules as stored."""

import pytest
from fastapi import FastAPI
from sqlalchemy import insert

from backstay.composition import Backstay
from backstay.core.clock import new_id, utc_now
from backstay.core.feature import Feature
from backstay.core.permissions import Source
from backstay.features.rate_rules.model import RateLimit, Tier
from backstay.testing import Login
from tests.features.route_walker import places
from tests.features.steps import API, ME, change_user, execute, register
from tests.web.problems import fields_of, problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

USERS = f"{API}/users"


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [feature for feature in features if feature.name != "tiers"]


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "50"}


async def test_everybody_is_in_the_built_in_tier(login: Login) -> None:
    ada, admin = await login(), await login("admin")
    assert (await ada.client.get(ME)).json()["tier"] == "free"
    assert (await admin.client.get(f"{USERS}/{ada.id}")).json()["tier"] == "free"
    for tier, ids in (("free", {ada.id, admin.id}), ("pro", set())):
        found = (await admin.client.get(f"{USERS}?tier={tier}")).json()
        assert {user["id"] for user in found["items"]} == ids


async def test_requests_are_counted_under_the_default(login: Login) -> None:
    ada = await login()
    headers = (await ada.client.get(ME)).headers
    assert headers["ratelimit-policy"].startswith('"default";q=50;')


async def test_what_was_stored_before_stays_in_force(login: Login, backstay: Backstay) -> None:
    ada = await login()
    tier, made = new_id(), {"created_at": utc_now(), "updated_at": utc_now(), "version": 1}
    await execute(backstay, insert(Tier).values(id=tier, name="pro", **made))
    rule = {"tier_id": tier, "path": ME, "limit": 1, "period": 3600}
    await execute(backstay, insert(RateLimit).values(id=new_id(), **rule, **made))
    await change_user(backstay, ada.id, tier="pro")
    assert (await ada.client.get(ME)).json()["tier"] == "pro"
    problem(await ada.client.get(ME), 429, "rate_limited")


async def test_nobody_can_change_a_tier(login: Login, app: FastAPI) -> None:
    sent = {each.name for each in places(app) if each.message.sources().get("tier") is Source.JSON}
    assert sent == set()
    ada, admin = await login(), await login("admin")
    told = {"tier": "extra_forbidden"}
    assert fields_of(problem(await register(ada.client, "b@example.org", tier="pro"), 422)) == told
    for sender, path in ((ada, ME), (admin, ME), (admin, f"{USERS}/{ada.id}")):
        refused = await sender.client.patch(path, json={"name": "Ada", "tier": "pro"})
        assert fields_of(problem(refused, 422)) == told
    for method, path in (("PUT", "tier"), ("GET", "tier"), ("GET", "rate-limits")):
        body = {"tier": "free"} if method == "PUT" else None
        problem(await admin.client.request(method, f"{USERS}/{ada.id}/{path}", json=body), 404)
