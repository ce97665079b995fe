"""Who scenarios about roles are about."""

import pytest

from backstay.testing import Login, Person
from tests.features.access.steps import RoleKeeper, permissions_by_key


@pytest.fixture
async def keeper(login: Login) -> RoleKeeper:
    admin = await login("admin")
    return RoleKeeper(admin, await permissions_by_key(admin))


@pytest.fixture
async def ada(login: Login) -> Person:
    return await login(name="ada")


@pytest.fixture
async def eve(login: Login) -> Person:
    return await login(name="eve")
