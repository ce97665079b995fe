"""Shows that a sender who lost power after admission is refused inside the transaction."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, update

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.context import Sender
from backstay.core.errors import AppError, Forbidden, NotFound, Unauthenticated
from backstay.core.messages import Message
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.principal import Principal
from backstay.features.access.commands.grants import (
    AddFieldRule,
    ChangeFieldRule,
    ChangeScope,
    GrantPermission,
    RemoveFieldRule,
    RevokePermission,
)
from backstay.features.access.commands.members import AssignRole, UnassignRole
from backstay.features.access.commands.roles import (
    CreateRole,
    DeleteRole,
    RestoreRole,
    UpdateRole,
)
from backstay.features.access.model import RoleMember
from backstay.features.access.queries.roles import GetMatrix
from backstay.features.access.schemas import Effect
from backstay.features.auth.commands.sign_out import EndSessionsOfUser
from backstay.features.users.commands.administration import (
    BlockUser,
    SetPassword,
    UnblockUser,
    UpdateUser,
)
from backstay.features.users.commands.removal import DeleteUser, EraseUser, RestoreUser
from backstay.features.users.model import User
from backstay.testing import Person
from tests.features.access.steps import RoleKeeper
from tests.features.steps import OTHER_PASSWORD, execute

pytestmark = pytest.mark.anyio

GRANT = {"role_id": uuid4(), "permission_id": uuid4()}
RULE = {**GRANT, "field_id": uuid4()}
USER = uuid4()
COMMANDS: tuple[Message[Any], ...] = (
    UpdateRole(role_id=uuid4(), name="mine"),
    DeleteRole(role_id=uuid4()),
    RestoreRole(role_id=uuid4()),
    GrantPermission(**GRANT, scope=Scope.ANY),
    ChangeScope(**GRANT, scope=Scope.ANY),
    RevokePermission(**GRANT),
    AddFieldRule(**RULE, effect=Effect.ALLOW),
    ChangeFieldRule(**RULE, effect=Effect.ALLOW),
    RemoveFieldRule(**RULE),
    AssignRole(role_id=uuid4(), user_id=uuid4()),
    UnassignRole(role_id=uuid4(), user_id=uuid4()),
    UpdateUser(id=USER, name="Renamed"),
    BlockUser(id=USER),
    UnblockUser(id=USER),
    SetPassword(id=USER, new_password=OTHER_PASSWORD),
    DeleteUser(id=USER),
    EraseUser(id=USER, cascade=True),
    RestoreUser(id=USER),
    EndSessionsOfUser(id=USER),
)
"""Every command on roles or on accounts of others, with ids that do not exist."""


@pytest.fixture
async def eve_as_let_in(keeper: RoleKeeper, eve: Person, backstay: Backstay) -> Principal:
    """The principal of Eve, who holds every permission, as it was at admission."""
    role = await keeper.role(*sorted({_key(command) for command in COMMANDS}), "roles:create")
    await keeper.assign(role, eve)
    principal = await backstay.principals.get(UUID(eve.tokens["session_id"]))
    assert principal is not None
    return principal


def _key(command: Message[Any]) -> str:
    assert isinstance(command.permission, PermissionSpec)
    return command.permission.key


async def refusals(
    backstay: Backstay, principal: Principal, *commands: Message[Any]
) -> set[type[AppError]]:
    """The errors that these commands of a principal raise."""
    send, found = Sender(backstay.bus.send, principal), set()
    for command in commands:
        with pytest.raises(AppError) as refused:
            await send(command)
        found.add(refused.type)
    return found


async def test_an_unchanged_sender_gets_404_for_missing_targets(
    backstay: Backstay, eve_as_let_in: Principal
) -> None:
    assert await refusals(backstay, eve_as_let_in, *COMMANDS) == {NotFound}


@pytest.mark.parametrize("state", ["blocked_at", "deleted_at"])
async def test_a_sender_blocked_or_deleted_meanwhile_is_unauthenticated(
    backstay: Backstay, eve_as_let_in: Principal, state: str
) -> None:
    before = await backstay.system(GetMatrix())
    change = update(User).where(User.id == eve_as_let_in.id).values({state: utc_now()})
    await execute(backstay, change)
    commands = (*COMMANDS, CreateRole(name="mine"))
    assert await refusals(backstay, eve_as_let_in, *commands) == {Unauthenticated}
    assert await backstay.system(GetMatrix()) == before


async def test_a_sender_without_roles_meanwhile_is_forbidden(
    backstay: Backstay, eve_as_let_in: Principal
) -> None:
    before = await backstay.system(GetMatrix())
    await execute(backstay, delete(RoleMember).where(RoleMember.user_id == eve_as_let_in.id))
    commands = (*COMMANDS, CreateRole(name="mine"))
    assert await refusals(backstay, eve_as_let_in, *commands) == {Forbidden}
    assert await backstay.system(GetMatrix()) == before


async def test_the_database_overrules_the_claims_of_a_principal(
    backstay: Backstay, eve_as_let_in: Principal
) -> None:
    """A principal that claims superuser rights gets only what its account holds: nothing."""
    await execute(backstay, delete(RoleMember).where(RoleMember.user_id == eve_as_let_in.id))
    chief = Principal(user_id=eve_as_let_in.id, is_superuser=True, level=1000)
    assert await refusals(backstay, chief, *COMMANDS) == {Forbidden}
