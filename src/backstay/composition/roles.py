"""Compares the roles that a project declares with one another and with the permissions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from backstay.core.feature import Feature
from backstay.core.permissions import PermissionSpec, RoleSpec, Scope
from backstay.core.targets import Finder
from backstay.core.wiring import Code, Flaw, Place
from backstay.db.base import Base
from backstay.db.owners import ownerless
from backstay.db.resource import Resource
from backstay.features.access.commands.seeding import ADMIN, ADMIN_LEVEL, USER

LONGEST = 64
"""Characters of the name of a role, as over HTTP."""


def role_faults(
    roles: Sequence[RoleSpec], features: Sequence[Feature], finders: Iterable[Finder] = ()
) -> Iterator[Flaw]:
    """The faults of declared roles.

    They are a name or level that is taken, an unknown permission, and the scope OWN for rows of
    nobody; ``finders`` know whose rows are.
    """
    nobodys = _of_nobodys_rows(finders)
    declared = {
        message.permission
        for feature in features
        for message in feature.messages()
        if isinstance(message.permission, PermissionSpec)
    }
    seen: dict[str, RoleSpec] = {}
    for role in roles:
        name: Any = role.name
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= LONGEST:
            problem = f"A role cannot be called {role.name!r}."
            hint = f"Give it a name of 1 to {LONGEST} characters."
            yield Flaw(Code.ROLE_NAME, problem, hint).of(role)
        elif role.name in {ADMIN, USER}:
            problem = f"The role {role.name} is the package's own."
            yield Flaw(Code.ROLE_TWICE, problem, "Give yours another name.").of(role)
        elif role.name in seen:
            first = Place.of(seen[role.name])
            problem = f"The role {role.name} is declared twice, first at {first}."
            yield Flaw(Code.ROLE_TWICE, problem, "Rename or remove one.").of(role)
        else:
            seen[role.name] = role
        if type(role.level) is not int or not 0 < role.level < ADMIN_LEVEL:
            problem = f"The role {role.name} has the level {role.level!r}."
            hint = f"Choose a whole number above 0 and below {ADMIN_LEVEL}."
            yield Flaw(Code.ROLE_LEVEL, problem, hint).of(role)
        yield from _grant_flaws(role, declared)
        yield from _scope_flaws(role, nobodys)


def _of_nobodys_rows(finders: Iterable[Finder]) -> dict[str, type[Base]]:
    """By the name of the resource: the entities that do not say whose a row is."""
    resources = [each for each in finders if isinstance(each, Resource)]
    return {each.name: each.entity for each in resources if each.entity.__owner__ is None}


def _scope_flaws(role: RoleSpec, nobodys: Mapping[str, type[Base]]) -> Iterator[Flaw]:
    """The grants for own rows that reach none; who creates a row needs none before."""
    grants: Any = role.grants
    for spec, scope in grants.items() if isinstance(grants, Mapping) else ():
        if scope is not Scope.OWN or not isinstance(spec, PermissionSpec):
            continue
        if spec.resource in nobodys and spec.action != "create":
            who = f"{spec.key} in the role {role.name}"
            flaw = ownerless(nobodys[spec.resource], who, "write Scope.ANY")
            yield flaw.of(role)


def _grant_flaws(role: RoleSpec, declared: set[PermissionSpec]) -> Iterator[Flaw]:
    grants: Any = role.grants
    if not isinstance(grants, Mapping):
        problem = f"`grants` of the role {role.name} is no dict."
        hint = "Write `grants={NOTES.list: Scope.ANY}`."
        yield Flaw(Code.ROLE_PERMISSION, problem, hint).of(role)
        return
    for spec, scope in grants.items():
        if not isinstance(spec, PermissionSpec) or spec not in declared:
            key = getattr(spec, "key", None) or repr(spec)
            problem = f"The role {role.name} holds {key}, which no message declares."
            hint = "Name the permission of a message, as that declares it."
            yield Flaw(Code.ROLE_PERMISSION, problem, hint).of(role)
        if not isinstance(scope, Scope):
            problem = f"The role {role.name} holds a permission at the scope {scope!r}."
            yield Flaw(Code.ROLE_PERMISSION, problem, "Write Scope.OWN or Scope.ANY.").of(role)
