"""Shows that the application works without any of its optional features."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.composition import compose, seed
from backstay.core.feature import Feature
from backstay.core.wiring import BootError
from backstay.features import FOUNDATION, STANDARD
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login
from tests.architecture.edge import path_of, route_faults, routes_of

pytestmark = pytest.mark.anyio

OPTIONAL = [feature.name for feature in STANDARD if not feature.foundation]
WITHOUT = [(name,) for name in OPTIONAL] + [tuple(OPTIONAL)]


def remaining(*without: str) -> list[Feature]:
    return [feature for feature in STANDARD if feature.name not in without]


@pytest.fixture(params=WITHOUT, ids=",".join)
def without(request: pytest.FixtureRequest) -> tuple[str, ...]:
    names: tuple[str, ...] = request.param
    return names


@pytest.fixture
async def app(
    settings: Settings, clock: FrozenClock, without: tuple[str, ...]
) -> AsyncIterator[FastAPI]:
    """The real application without some features."""
    application = create_app(settings, remaining(*without), clock=clock)
    async with application.router.lifespan_context(application):
        yield application


def test_the_foundation_is_what_other_features_require() -> None:
    foundation = {feature.name for feature in STANDARD if feature.foundation}
    assert foundation == {"access", "tiers", "users", "auth", "system"}
    assert OPTIONAL


async def test_people_sign_in_whatever_is_switched_off(app: FastAPI, login: Login) -> None:
    user, admin = await login(), await login("admin")
    mine = await user.client.get("/api/v1/users/me")
    assert mine.json()["id"] == user.id
    people = await admin.client.get("/api/v1/users")
    assert {person["email"] for person in people.json()["items"]} == {user.email, admin.email}
    assert (await user.client.post("/api/v1/auth/logout")).status_code == 204
    assert (await user.client.get("/api/v1/users/me")).status_code == 401


async def test_remaining_routes_keep_the_rules_and_removed_routes_are_404(
    app: FastAPI, login: Login, settings: Settings
) -> None:
    assert route_faults(app) == []
    whole = create_app(settings)
    left = {path_of(route) for route in routes_of(app)}
    gone = {path_of(route) for route in routes_of(whole)} - left
    assert gone
    admin = await login("admin")
    for path in gone:
        assert (await admin.client.get(path)).status_code == 404
    await whole.state.backstay.close()


async def test_seeding_without_a_feature_removes_nothing(
    app: FastAPI, settings: Settings, without: tuple[str, ...]
) -> None:
    await seed(app.state.backstay)
    whole = compose(settings)
    await seed(whole)
    await whole.close()


@pytest.mark.parametrize("name", ["access", "tiers", "users", "auth", "system"])
def test_the_foundation_cannot_be_left_out(settings: Settings, name: str) -> None:
    with pytest.raises(BootError, match=f"The feature {name} belongs to the foundation"):
        compose(settings, remaining(name))


def test_the_foundation_lists_the_features_that_say_so() -> None:
    assert tuple(each for each in STANDARD if each.foundation) == FOUNDATION
