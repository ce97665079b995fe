"""Grants a user a permission in one line, for scenarios about something else."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.core.listing import Text
from backstay.core.permissions import Scope, Source
from backstay.features.access.commands.grants import AddFieldRule, GrantPermission
from backstay.features.access.commands.members import AssignRole
from backstay.features.access.commands.roles import CreateRole
from backstay.features.access.queries.permissions import ListPermissions
from backstay.features.access.schemas import Effect

Rule = tuple[Source, str, Effect]


async def grant(
    backstay: Backstay,
    user_id: str,
    permission: str,
    scope: Scope = Scope.ANY,
    *more: str,
    rules: Sequence[Rule] = (),
    level: int = 10,
    role: str | None = None,
) -> None:
    """Give a user a new role with one permission, under field rules, and with ``more``."""
    send = backstay.system
    made = await send(CreateRole(name=role or f"role {new_id()}", level=level))
    for key in (permission, *more):
        (found,) = (await send(ListPermissions(key=Text(eq=key)))).items
        await send(GrantPermission(role_id=made.id, permission_id=found.id, scope=scope))
        fields = {(field.source, field.name): field.id for field in found.fields}
        for source, name, effect in rules if key == permission else ():
            ids: dict[str, Any] = {"role_id": made.id, "permission_id": found.id}
            await send(AddFieldRule(field_id=fields[source, name], effect=effect, **ids))
    await send(AssignRole(role_id=made.id, user_id=UUID(user_id)))
