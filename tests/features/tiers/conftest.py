"""Fixtures: tiers, their rate limits and their users."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from backstay.testing import Login, Person
from tests.features.steps import API

TIERS = f"{API}/tiers"
MakeTier = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def admin(login: Login) -> Person:
    return await login("admin")


@pytest.fixture
def make_tier(admin: Person) -> MakeTier:
    """Creates a tier with limits per minute by path, and assigns users to it."""

    async def make(name: str, *people: Person, **limits: int) -> dict[str, Any]:
        created = await admin.client.post(TIERS, json={"name": name})
        assert created.status_code == 201, created.text
        for path, limit in limits.items():
            await add_limit(admin, name, path, limit)
        for person in people:
            await assign(admin, person, name)
        body: dict[str, Any] = created.json()
        return body

    return make


async def add_limit(
    admin: Person, tier: str, path: str, limit: int, period: int = 60
) -> dict[str, Any]:
    """A new rate limit of a tier."""
    body = {"path": path, "limit": limit, "period": period}
    created = await admin.client.post(f"{TIERS}/{tier}/rate-limits", json=body)
    assert created.status_code == 201, created.text
    limited: dict[str, Any] = created.json()
    return limited


async def assign(admin: Person, person: Person, tier: str) -> None:
    answer = await put_tier(admin, person.id, tier)
    assert (answer.status_code, answer.json()) == (200, {"tier": tier}), answer.text


async def put_tier(sender: Person, user_id: str, tier: str, **options: Any) -> httpx.Response:
    path = f"{API}/users/{user_id}/tier"
    return await sender.client.put(path, json={"tier": tier}, **options)
