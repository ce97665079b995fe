"""Checks who may change which role: no user can give more than they hold (no escalation)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.core.context import Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Command
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.principal import Grant
from backstay.features.access.commands.seeding import LockSuperusers
from backstay.features.access.model import Role
from backstay.features.access.queries.membership import (
    GetMemberships,
    ListRoleSets,
    RoleSet,
    standing_of,
)
from backstay.features.access.schemas import Membership


@dataclass(frozen=True, slots=True)
class Authority:
    """What the sender of a command holds, read under a lock that keeps roles from changing."""

    held: Membership
    send: Sender
    members: dict[RoleSet, Membership] = field(default_factory=dict[RoleSet, Membership])

    def require_superuser(self) -> None:
        """Refuse a sender who is not a superuser.

        Raises:
            Forbidden: the sender is not a superuser.
        """
        if not self.held.is_superuser:
            raise Forbidden("Only a superuser may do this to superusers and their roles.")

    def over_level(self, level: int) -> None:
        """Refuse to act on a level that is not below the sender's.

        Raises:
            Forbidden: the level is not below the sender's highest.
        """
        if not self.held.is_superuser and level >= self.held.level:
            raise Forbidden(f"This needs a role of a level above {level}.")

    def over(self, role: Role | Membership) -> None:
        """Refuse to act on a role, or on a user with such roles, that is not below the sender.

        Raises:
            Forbidden: it is a superuser's, or its level is not below the sender's highest.
        """
        if role.is_superuser:
            self.require_superuser()
        self.over_level(role.level)

    def over_grants(self, grants: Mapping[str, Grant]) -> None:
        """Refuse to give grants that the sender does not hold.

        Raises:
            Forbidden: the sender lacks one, or holds it at a narrower scope or with field rules.
        """
        if self.held.is_superuser:
            return
        for key, grant in grants.items():
            mine = self.held.grants.get(key)
            if mine is None or not mine.covers(grant):
                raise Forbidden(f"You hold less of the permission {key} than this would give.")

    def over_free(self, key: str, scope: Scope) -> None:
        """Refuse to give a permission without field rules, unless the sender holds it without any.

        Raises:
            Forbidden: the sender lacks it, or holds it at a narrower scope or with field rules.
        """
        self.over_grants({key: Grant(scope)})

    async def over_role(self, role: Role) -> None:
        """Do what :meth:`over` does, and note what the role's members hold, for :meth:`settle`.

        Raises:
            Forbidden: it is a superuser's, or its level is not below the sender's highest.
        """
        self.over(role)
        if not self.held.is_superuser:
            ask = self.send.as_system()
            sets = await ask(ListRoleSets(role_id=role.id))
            self.members.update(await ask(GetMemberships(sets=sets)))

    async def settle(self) -> None:
        """Refuse a change that gives a member of a changed role more than the sender holds.

        A role with restrictions hides what lower roles of its members grant. To remove it, or to
        loosen it, therefore gives them those grants. Every command that changes a role calls this
        last.

        Raises:
            Forbidden: a user, perhaps the sender, would gain what the sender does not hold.
        """
        now = await self.send.as_system()(GetMemberships(sets=frozenset(self.members)))
        for roles, before in self.members.items():
            self.over_grants(now[roles].gains(before))


async def authority_over(command: Command[Any], send: Sender) -> Authority:
    """Lock roles until the transaction ends, then read again what the sender holds.

    Raises:
        Unauthenticated: the sender was blocked or deleted meanwhile.
        Forbidden: the sender lost the permission meanwhile, or has it for own rows only: roles have
            no owner.
    """
    await send.as_system()(LockSuperusers())
    held, policy = await standing_of(command, send), command.permission
    if isinstance(policy, PermissionSpec):
        grant = held.grant(policy.key)
        if grant is None or grant.scope is Scope.OWN:
            raise Forbidden(f"This needs the permission {policy.key} at the scope ANY.")
    return Authority(held, send)
