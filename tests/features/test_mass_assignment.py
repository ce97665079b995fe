"""Shows that no body accepts a privileged field that it does not declare, on any route."""

from itertools import product

import httpx
import pytest
from fastapi import FastAPI

from backstay.core.permissions import Source
from backstay.testing import Login
from tests.features.access.steps import RoleKeeper, permissions_by_key
from tests.features.route_walker import Place, Target, places
from tests.features.steps import API, needs
from tests.web.problems import fields_of, problem

pytestmark = [pytest.mark.anyio, needs("items"), needs("tiers")]

PRIVILEGED = {
    "is_superuser": True,
    "owner_id": "01a1fdc6-0000-7000-8000-000000000000",
    "version": 1,
    "deleted_at": None,
    "roles": ["admin"],
    "level": 1000,
    "tier": "unlimited",
}
MEANT = {
    *product(("CreateRole", "UpdateRole"), ("is_superuser", "level")),
    ("AssignTier", "tier"),
}
"""Messages whose purpose is such a field; the level of the sender decides who may set it."""


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_no_body_takes_a_privileged_field(
    login: Login, client: httpx.AsyncClient, app: FastAPI
) -> None:
    admin = await login("admin")
    keeper = RoleKeeper(admin, await permissions_by_key(admin))
    person = await login()
    target = await _target(keeper, person.id)
    walked, meant = set(), set()
    for place in places(app):
        if place.has_body and not place.is_page:
            sender = client if place.is_public else admin.client
            meant |= await _named(place, target, sender)
            walked.add((place.method, place.template))
    documented = {
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert walked == documented
    assert meant == MEANT


async def _target(keeper: RoleKeeper, user_id: str) -> Target:
    role = await keeper.role("users:list")
    item = await keeper.client.post(f"{API}/items", json={"title": "Sextant"})
    field = keeper.field_id("users:list", "QUERY", "email")
    return Target(
        user=user_id,
        username="nobody",
        session=user_id,
        item=item.json()["id"],
        role=role["id"],
        permission=keeper.id_of("users:list"),
        field=field,
    )


async def _named(place: Place, target: Target, sender: httpx.AsyncClient) -> set[tuple[str, str]]:
    """The privileged fields that a message declares; it refuses all others."""
    path, body = target.path(place.template), target.body(place.name) or {}
    sources = place.message.sources()
    named = {name for name in PRIVILEGED if sources.get(name) is Source.JSON}
    for name in PRIVILEGED.keys() - named:
        answer = await sender.request(place.method, path, json={**body, name: PRIVILEGED[name]})
        assert fields_of(problem(answer, 422, "validation_error")) == {name: "extra_forbidden"}
    answer = await sender.request(place.method, path, json=body)
    assert answer.status_code != 422, (place.name, answer.text)
    return {(place.name, name) for name in named}
