"""Who asks, and with which grants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any
from uuid import UUID

from backstay.core.errors import Forbidden
from backstay.core.permissions import Scope, Source
from backstay.core.rates import NO_RULES, RateRules


class Effect(StrEnum):
    """What a field rule does."""

    ALLOW = "ALLOW"
    DENY = "DENY"


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission as one principal holds it: the scope and the rules on single fields."""

    scope: Scope
    allowed: Mapping[Source, frozenset[str]] = field(default_factory=dict)
    denied: Mapping[Source, frozenset[str]] = field(default_factory=dict)

    @property
    def has_field_rules(self) -> bool:
        """Whether any field is restricted at all."""
        return bool(self.allowed or self.denied)

    @property
    def told(self) -> tuple[object, ...]:
        """The scope and the rules in an order that is the same in every process."""
        return self.scope.value, _ordered(self.allowed), _ordered(self.denied)

    def refuses(self, source: Source, path: str) -> bool:
        """Whether a request that names the field ``path`` (dotted when nested) is refused.

        A rule on ``address`` covers ``address.city``, and who names ``address`` as a whole names
        what is inside. As soon as one field of a source is allowed, every other field of that
        source is refused.
        """
        names = _with_parents(path)
        denied = self.denied.get(source, frozenset())
        if not names.isdisjoint(denied) or any(d.startswith(f"{path}.") for d in denied):
            return True
        allowed = self.allowed.get(source)
        return allowed is not None and names.isdisjoint(allowed)

    def covers(self, other: "Grant") -> bool:
        """Whether everything that another grant of the same permission allows is allowed here."""
        if self.scope is Scope.OWN and other.scope is Scope.ANY:
            return False
        sources = {*self.allowed, *self.denied}
        return all(self._covers_fields(other, source) for source in sources)

    def _covers_fields(self, other: "Grant", source: Source) -> bool:
        mine, theirs = self.allowed.get(source), other.allowed.get(source)
        denied = other.denied.get(source, frozenset())
        reached = {name for name in theirs or () if _with_parents(name).isdisjoint(denied)}
        for name in self.denied.get(source, frozenset()):
            if not _with_parents(name).isdisjoint(denied):
                continue
            if theirs is None or any(_overlap(name, each) for each in reached):
                return False
        if mine is None:
            return True
        return theirs is not None and not any(_with_parents(n).isdisjoint(mine) for n in reached)


def _ordered(rules: Mapping[Source, frozenset[str]]) -> list[tuple[str, list[str]]]:
    return sorted((source.value, sorted(names)) for source, names in rules.items())


UNLIMITED = Grant(Scope.ANY)


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who sends a message. ``user_id`` is None for strangers and for the system.

    ``profile`` is how its owner sees the account. ``valid_until`` is when the session ends unless
    it is refreshed. ``rules`` are the rate limits of the tier.
    """

    user_id: UUID | None = None
    session_id: UUID | None = None
    valid_until: datetime | None = None
    is_superuser: bool = False
    is_system: bool = False
    level: int = 0
    roles: tuple[str, ...] = ()
    grants: Mapping[str, Grant] = field(default_factory=dict)
    tier: str | None = None
    rules: RateRules = NO_RULES
    profile: Any = None
    _digest: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def id(self) -> UUID:
        """The user's id.

        Raises:
            LookupError: the principal is no user; a message that needs one is not SIGNED_IN.
        """
        if self.user_id is None:
            raise LookupError("this principal is not a user")
        return self.user_id

    def grant(self, permission: str) -> Grant | None:
        """The grant of a permission key, or None when the principal does not hold it."""
        if self.is_superuser or self.is_system:
            return UNLIMITED
        return self.grants.get(permission)

    @property
    def digest(self) -> bytes:
        """A digest of who this is and of everything that they may do, worked out once."""
        if not self._digest:
            told = (
                self.user_id and self.user_id.int,
                *(self.is_system, self.is_superuser, self.level, self.roles, self.tier),
                sorted((key, *grant.told) for key, grant in self.grants.items()),
            )
            self._digest.append(blake2b(repr(told).encode(), digest_size=16).digest())
        return self._digest[0]


STRANGER = Principal()
SYSTEM = Principal(is_system=True)


def check_reach(user_id: UUID | None, principal: Principal, grant: Grant) -> None:
    """Refuse a grant for own rows to whoever asks about another user.

    Raises:
        Forbidden: the user is not the one who asks.
    """
    if grant.scope is Scope.OWN and user_id != principal.user_id:
        raise Forbidden


def _with_parents(path: str) -> set[str]:
    parts = path.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def _overlap(one: str, other: str) -> bool:
    """Whether two paths name a field in common."""
    return one in _with_parents(other) or other in _with_parents(one)


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """One row of the grant table, with the level of the role that carries it."""

    level: int
    permission: str
    scope: Scope
    rules: tuple[tuple[Source, str, Effect], ...] = ()


def merge_grants(rows: Iterable[RoleGrant]) -> dict[str, Grant]:
    """One grant per permission: the highest role decides, lower roles are the fallback.

    At equal level ``ANY`` beats ``OWN`` and ``DENY`` beats ``ALLOW``.
    """
    by_permission: dict[str, list[RoleGrant]] = {}
    for row in rows:
        by_permission.setdefault(row.permission, []).append(row)
    return {key: _decide(held) for key, held in by_permission.items()}


def _decide(held: list[RoleGrant]) -> Grant:
    level = max(row.level for row in held)
    deciding = [row for row in held if row.level == level]
    scope = Scope.ANY if any(row.scope is Scope.ANY for row in deciding) else Scope.OWN
    allowed: dict[Source, set[str]] = {}
    denied: dict[Source, set[str]] = {}
    for source, name, effect in (rule for row in deciding for rule in row.rules):
        target = allowed if effect is Effect.ALLOW else denied
        target.setdefault(source, set()).add(name)
    return Grant(
        scope,
        {source: frozenset(names) for source, names in allowed.items()},
        {source: frozenset(names) for source, names in denied.items()},
    )
