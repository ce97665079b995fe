"""Shows that the application works without any of its optional features."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from backstay.application import create_app
from backstay.composition import compose, seed
from backstay.core.feature import Feature
from backstay.core.permissions import PermissionSpec
from backstay.core.wiring import BootError
from backstay.db.base import Base
from backstay.features import FOUNDATION, STANDARD
from backstay.features.access.commands.seeding import declared_permissions
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login
from tests.architecture.edge import path_of, route_faults, routes_of

pytestmark = pytest.mark.anyio

OPTIONAL = [feature.name for feature in STANDARD if not feature.foundation]
WITHOUT = [
    *((name,) for name in OPTIONAL),
    *(tuple(OPTIONAL[half::2]) for half in (0, 1)),
    tuple(OPTIONAL),
]
"""Each optional feature left out alone, every other one, the others, and all: each pair is left
out together, and one without the other."""


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
    assert foundation == {"access", "rate_rules", "users", "auth", "system"}
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


async def test_nothing_shows_a_feature_that_is_left_out(
    app: FastAPI, login: Login, without: tuple[str, ...]
) -> None:
    gone = [feature for feature in STANDARD if feature.name in without]
    backstay, admin = app.state.backstay, await login("admin")
    policies = [message.permission for feature in gone for message in feature.messages()]
    keys = {each.key for each in policies if isinstance(each, PermissionSpec)}
    declared = declared_permissions(backstay.features)
    assert {each.key for each in declared}.isdisjoint(keys)
    described = app.openapi()
    shown = {
        tag for path in described["paths"].values() for row in path.values() for tag in row["tags"]
    }
    tags = {table.tag for feature in gone for table in feature.routes}
    kept = {table.tag for feature in backstay.features for table in feature.routes}
    assert shown.isdisjoint(tags - kept)
    assert not {each.name for each in backstay.worker_context.schedule} & {
        each.name for feature in gone for each in feature.schedule
    }
    export = await admin.client.get("/api/v1/users/me/export")
    assert export.json().keys().isdisjoint(key for each in gone for key in each.personal_data)
    health = (await admin.client.get("/health")).json()
    assert "mail" not in without or "mail" not in health["checks"]


async def test_tables_of_a_feature_that_is_left_out_stay_empty(
    app: FastAPI, login: Login, without: tuple[str, ...]
) -> None:
    await login()
    homes = tuple(f"backstay.features.{name}." for name in without)
    mappers = [each for each in Base.registry.mappers if each.class_.__module__.startswith(homes)]
    assert mappers or {"mail", "items"}.isdisjoint(without)
    async with app.state.backstay.database.read_engine.connect() as connection:
        for mapper in mappers:
            found = await connection.execute(select(func.count()).select_from(mapper.local_table))
            assert found.scalar_one() == 0


@pytest.mark.parametrize("name", ["access", "rate_rules", "users", "auth", "system"])
def test_the_foundation_cannot_be_left_out(settings: Settings, name: str) -> None:
    with pytest.raises(BootError, match=f"The feature {name} belongs to the foundation"):
        compose(settings, remaining(name))


def test_the_foundation_lists_the_features_that_say_so() -> None:
    assert tuple(each for each in STANDARD if each.foundation) == FOUNDATION
