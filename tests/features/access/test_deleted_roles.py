"""Shows that nobody gains power through a deleted role that could be restored."""

from typing import Any

import pytest

from backstay.testing import Person
from tests.features.access.steps import RoleKeeper, done, role_path
from tests.features.steps import OTHER_PASSWORD
from tests.features.users.administering import TAKEOVERS, USERS, act
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

LIST, READ, EMAIL = "users:list", "users:read", ("QUERY", "email")
MANAGES = (
    *("roles:delete", "roles:restore", "roles:update", "permissions:revoke"),
    *("users:update", "users:set_password", "users:block", READ),
)


@pytest.fixture
async def manager(keeper: RoleKeeper, eve: Person) -> Any:
    """The role of Eve, who manages roles and users, and lists users under a field rule."""
    role = await keeper.role(*MANAGES, level=50)
    await keeper.grant(role, LIST, rules=[(*EMAIL, "DENY")])
    await keeper.assign(role, eve)
    return role


async def buried(keeper: RoleKeeper, person: Person, *permissions: str, **fields: Any) -> Any:
    """A deleted role that a user still has."""
    role = await keeper.role(*permissions, **fields)
    await keeper.assign(role, person)
    await done(keeper.client.delete(role_path(role)), 204)
    return role


async def assert_not_taken_over(eve: Person, ada: Person) -> None:
    for way in sorted(TAKEOVERS):
        refused = problem(await act(eve, way, ada.id), 403, "forbidden")
        assert refused["detail"] == "This person has a deleted role that may do what you may not."


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("query", ["", "?hard=true"])
async def test_a_role_that_holds_more_is_not_deleted(
    keeper: RoleKeeper, eve: Person, query: str
) -> None:
    more, wider = await keeper.role("roles:create"), await keeper.role(LIST)
    for role in (more, wider):
        refused = await eve.client.delete(f"{role_path(role)}{query}")
        assert "You hold less" in problem(refused, 403, "forbidden")["detail"]
        await done(keeper.client.get(role_path(role)), 200)
    same = await keeper.role(READ)
    await keeper.grant(same, LIST, rules=[(*EMAIL, "DENY")])
    await done(eve.client.delete(f"{role_path(same)}{query}"), 204)


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize(
    ("permissions", "fields"),
    [
        (("roles:create",), {"level": 10}),
        ((LIST,), {"level": 10}),
        ((), {"level": 50}),
        ((), {"level": 0, "is_superuser": True}),
    ],
)
async def test_a_user_with_a_stronger_deleted_role_is_protected(
    keeper: RoleKeeper,
    eve: Person,
    ada: Person,
    permissions: tuple[str, ...],
    fields: dict[str, Any],
) -> None:
    role = await buried(keeper, ada, *permissions, **fields)
    await assert_not_taken_over(eve, ada)
    problem(await eve.client.post(f"{role_path(role)}/restore"), 403, "forbidden")
    for way in ("rename", "block", "unblock"):  # this gives nobody the account
        assert (await act(eve, way, ada.id)).status_code == 200
    await done(keeper.client.delete(f"{role_path(role)}?hard=true"), 204)
    assert (await act(eve, "set password", ada.id)).status_code == 200


@pytest.mark.usefixtures("manager")
async def test_a_deleted_role_counts_beneath_a_living_one(
    keeper: RoleKeeper, eve: Person, ada: Person
) -> None:
    """The living role may be taken away before the deleted one is restored."""
    strict = await keeper.role(level=20)
    await keeper.grant(strict, LIST, rules=[(*EMAIL, "DENY")])
    await keeper.assign(strict, ada)
    assert (await act(eve, "set password", ada.id)).status_code == 200
    await buried(keeper, ada, LIST, level=10)
    await buried(keeper, ada, level=30)
    await assert_not_taken_over(eve, ada)


@pytest.mark.usefixtures("manager")
async def test_a_deleted_role_without_more_power_is_ignored(
    keeper: RoleKeeper, eve: Person, ada: Person
) -> None:
    role = await buried(keeper, ada, READ, level=49)
    for way in sorted(TAKEOVERS):
        assert (await act(eve, way, ada.id)).status_code == 200
    await done(eve.client.post(f"{role_path(role)}/restore"), 200)


async def test_a_deleted_role_is_compared_with_current_grants(
    keeper: RoleKeeper, eve: Person, ada: Person, manager: Any
) -> None:
    """The sender may have lost, since the deletion, the grants that covered the deleted role."""
    role = await buried(keeper, ada, READ, level=10)
    await done(keeper.client.delete(keeper.path_of(manager, READ)), 204)
    await assert_not_taken_over(eve, ada)
    problem(await eve.client.post(f"{role_path(role)}/restore"), 403, "forbidden")


async def test_a_superuser_may_take_over_such_a_user(keeper: RoleKeeper, ada: Person) -> None:
    await buried(keeper, ada, level=10, is_superuser=True)
    body = {"new_password": OTHER_PASSWORD}
    await done(keeper.client.put(f"{USERS}/{ada.id}/password", json=body), 200)
