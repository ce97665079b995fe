"""Compares the roles that a project declares with one another and with the permissions."""

from collections.abc import Iterator, Sequence

from backstay.core.feature import Feature
from backstay.core.permissions import PermissionSpec, RoleSpec
from backstay.core.wiring import Code, Flaw, Place
from backstay.features.access.commands.seeding import ADMIN, ADMIN_LEVEL, USER


def role_faults(roles: Sequence[RoleSpec], features: Sequence[Feature]) -> Iterator[Flaw]:
    """The faults of declared roles: a name or level that is taken, an unknown permission."""
    declared = {
        message.permission
        for feature in features
        for message in feature.messages()
        if isinstance(message.permission, PermissionSpec)
    }
    seen: dict[str, RoleSpec] = {}
    for role in roles:
        if role.name in {ADMIN, USER}:
            problem = f"The role {role.name} is the package's own."
            yield Flaw(Code.ROLE_TWICE, problem, "Give yours another name.").of(role)
        elif role.name in seen:
            first = Place.of(seen[role.name])
            problem = f"The role {role.name} is declared twice, first at {first}."
            yield Flaw(Code.ROLE_TWICE, problem, "Rename or remove one.").of(role)
        seen.setdefault(role.name, role)
        if not 0 < role.level < ADMIN_LEVEL:
            problem = f"The role {role.name} has the level {role.level}."
            hint = f"Choose one above 0 and below {ADMIN_LEVEL}."
            yield Flaw(Code.ROLE_LEVEL, problem, hint).of(role)
        for spec in role.grants:
            if spec not in declared:
                problem = f"The role {role.name} holds {spec.key}, which no message declares."
                hint = "Name the permission of a message, as that declares it."
                yield Flaw(Code.ROLE_PERMISSION, problem, hint).of(role)
