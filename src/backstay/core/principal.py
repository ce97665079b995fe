"""The principal: who sends a message, and with which grants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

from backstay.core.errors import Forbidden
from backstay.core.permissions import Scope, Source
from backstay.core.rates import RateRule


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission that a principal holds: its scope, and the rules on single fields."""

    scope: Scope
    allowed: Mapping[Source, frozenset[str]] = field(default_factory=dict)
    denied: Mapping[Source, frozenset[str]] = field(default_factory=dict)

    @property
    def has_field_rules(self) -> bool:
        """Whether there is a rule on any field."""
        return bool(self.allowed or self.denied)

    @property
    def told(self) -> tuple[object, ...]:
        """The scope and the rules, in an order that is the same in every process."""
        return self.scope.value, _ordered(self.allowed), _ordered(self.denied)

    def refuses(self, source: Source, path: str) -> bool:
        """Whether a request that names the field ``path`` (dotted when nested) is refused.

        A rule on ``address`` covers ``address.city``, and a request that names ``address`` names
        every field inside it. As soon as one field of a source is allowed, every other field of
        that source is refused.
        """
        names = _with_parents(path)
        denied = self.denied.get(source, frozenset())
        if not names.isdisjoint(denied) or any(d.startswith(f"{path}.") for d in denied):
            return True
        allowed = self.allowed.get(source)
        return allowed is not None and names.isdisjoint(allowed)

    def covers(self, other: "Grant") -> bool:
        """Whether this grant allows everything that another one of the same permission allows."""
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
    """The sender of a message. ``user_id`` is None for anonymous clients and for the system.

    ``profile`` is the account as its owner sees it. ``valid_until`` is when the session ends
    unless it is refreshed. ``rules`` are the rate limits of the tier. ``proven_at`` is when the
    user last proved who they are, with a password for example. ``actor_id`` is the administrator
    who acts as the user, if one does.
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
    rules: tuple[RateRule, ...] = ()
    profile: Any = None
    proven_at: datetime | None = None
    actor_id: UUID | None = None
    _digest: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)
    _rule_of: dict[str, RateRule | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def id(self) -> UUID:
        """The user's id.

        Raises:
            LookupError: the principal is not a user; the message lacks the policy SIGNED_IN.
        """
        if self.user_id is None:
            raise LookupError("this principal is not a user")
        return self.user_id

    @property
    def kind(self) -> Literal["user", "system", "anonymous"]:
        """Who it is, as the audit trail and jobs record it."""
        if self.is_system:
            return "system"
        return "anonymous" if self.user_id is None else "user"

    def grant(self, permission: str) -> Grant | None:
        """The grant of a permission key, or None when the principal does not hold it."""
        if self.is_superuser or self.is_system:
            return UNLIMITED
        return self.grants.get(permission)

    def check_reach(self, user_id: UUID | None, grant: Grant) -> None:
        """Refuse to ask about another user with a grant for own rows.

        Raises:
            Forbidden: the grant is for own rows, and the user is not the principal.
        """
        if grant.scope is Scope.OWN and user_id != self.user_id:
            raise Forbidden

    def rate_rule(self, template: str) -> RateRule | None:
        """The tier's rule for a route: an exact path comes before the longest prefix.

        It is looked for once, since it cannot change while this principal is kept.
        """
        try:
            return self._rule_of[template]
        except KeyError:
            fitting = (rule for rule in self.rules if rule.holds_for(template))
            rule = max(fitting, key=lambda r: (r.path == template, len(r.path)), default=None)
            self._rule_of[template] = rule
            return rule

    @property
    def digest(self) -> bytes:
        """A digest of the principal's identity and of all that it may do, computed once."""
        if not self._digest:
            parts = (
                self.user_id and self.user_id.int,
                *(self.is_system, self.is_superuser, self.level, self.roles, self.tier),
                sorted((key, *grant.told) for key, grant in self.grants.items()),
            )
            self._digest.append(blake2b(repr(parts).encode(), digest_size=16).digest())
        return self._digest[0]


STRANGER = Principal()
SYSTEM = Principal(is_system=True)


def _with_parents(path: str) -> set[str]:
    parts = path.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def _overlap(one: str, other: str) -> bool:
    """Whether two paths name a field in common."""
    return one in _with_parents(other) or other in _with_parents(one)
