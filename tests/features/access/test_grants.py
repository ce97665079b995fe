"""Shows how the grants of several roles become one, and what its field rules refuse."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.permissions import Scope, Source
from backstay.core.principal import STRANGER, SYSTEM, UNLIMITED, Grant, Principal
from backstay.features.access.schemas import Effect, RoleGrant, merge_grants
from tests.examples import examples

KEY = "items:update"
JSON, QUERY = Source.JSON, Source.QUERY
OWN, ANY = Scope.OWN, Scope.ANY


def row(level: int, scope: Scope = OWN, *, permission: str = KEY, **effects: str) -> RoleGrant:
    """A grant at a level; rules on body fields are written ``allow="title address.city"``."""
    rules = tuple(
        (JSON, name, Effect(effect.upper()))
        for effect, names in effects.items()
        for name in names.split()
    )
    return RoleGrant(level, permission, scope, rules)


def merged(*rows: RoleGrant) -> Grant:
    return merge_grants(rows)[KEY]


def refused(grant: Grant, *paths: str, source: Source = JSON) -> set[str]:
    return {path for path in paths if grant.refuses(source, path)}


def test_the_highest_role_decides_even_against_a_wider_lower_role() -> None:
    grant = merged(row(10, OWN, deny="title"), row(5, ANY), row(1, ANY, allow="notes"))
    assert grant.scope is OWN
    assert refused(grant, "title", "notes", "depth") == {"title"}


def test_a_lower_role_is_the_fallback() -> None:
    grants = merge_grants([row(10, OWN), row(1, ANY, permission="items:delete")])
    assert grants["items:delete"].scope is ANY
    assert merge_grants([]) == {}


def test_at_equal_level_any_beats_own() -> None:
    assert merged(row(3, OWN), row(3, ANY)).scope is ANY
    assert merged(row(3, OWN), row(3, OWN)).scope is OWN


def test_at_equal_level_deny_beats_allow() -> None:
    grant = merged(row(3, allow="title notes"), row(3, deny="title"))
    assert refused(grant, "title", "notes") == {"title"}


def test_one_allowed_field_refuses_every_other_of_its_source() -> None:
    grant = merged(row(3, allow="title"))
    assert refused(grant, "title", "notes", "depth") == {"notes", "depth"}
    assert refused(grant, "title", "notes", source=QUERY) == set()


def test_rules_of_both_sources_are_kept_apart() -> None:
    rules = ((JSON, "title", Effect.DENY), (QUERY, "title", Effect.ALLOW))
    grant = merged(RoleGrant(1, KEY, OWN, rules))
    assert refused(grant, "title", "notes") == {"title"}
    assert refused(grant, "title", "notes", source=QUERY) == {"notes"}


def test_a_rule_on_an_object_covers_what_is_inside() -> None:
    inside = ("address", "address.city", "address.city.name", "addressee")
    assert refused(merged(row(1, deny="address")), *inside) == set(inside[:3])
    assert refused(merged(row(1, allow="address")), *inside) == {"addressee"}


def test_a_denied_nested_field_also_denies_the_whole_object() -> None:
    paths = ("address", "address.city", "address.street")
    assert refused(merged(row(1, deny="address.city")), *paths) == {"address", "address.city"}
    assert refused(merged(row(1, allow="address.city")), *paths) == {"address", "address.street"}


def test_without_field_rules_nothing_is_refused() -> None:
    assert not merged(row(1)).has_field_rules
    assert merged(row(1, deny="title")).has_field_rules
    assert refused(UNLIMITED, "title") == set()


@pytest.mark.parametrize("principal", [SYSTEM, Principal(is_superuser=True)])
def test_superusers_and_the_system_hold_everything(principal: Principal) -> None:
    assert principal.grant("anything:at:all") is UNLIMITED


def test_others_hold_what_they_were_granted() -> None:
    grant = Grant(OWN)
    assert Principal(grants={KEY: grant}).grant(KEY) is grant
    assert Principal(grants={KEY: grant}).grant("items:delete") is None
    assert STRANGER.grant(KEY) is None


@pytest.mark.parametrize("principal", [STRANGER, SYSTEM])
def test_only_users_have_an_id(principal: Principal) -> None:
    with pytest.raises(LookupError):
        _ = principal.id


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)
rows = st.builds(
    RoleGrant,
    level=st.integers(0, 2),
    permission=st.just(KEY),
    scope=st.sampled_from(Scope),
    rules=st.lists(
        st.tuples(st.sampled_from([JSON, QUERY]), paths, st.sampled_from(Effect)), max_size=3
    ).map(tuple),
)


def covers(rule: str, path: str) -> bool:
    return f"{path}.".startswith(f"{rule}.")


def should_refuse(deciding: Iterable[RoleGrant], source: Source, path: str) -> bool:
    """What field rules refuse, written rule by rule as documented."""
    rules = [(name, e) for held in deciding for s, name, e in held.rules if s is source]
    denied = [name for name, effect in rules if effect is Effect.DENY]
    allowed = [name for name, effect in rules if effect is Effect.ALLOW]
    if any(covers(name, path) or covers(path, name) for name in denied):
        return True
    return bool(allowed) and not any(covers(name, path) for name in allowed)


@examples()
@given(st.lists(rows, min_size=1, max_size=5), paths)
def test_only_roles_of_the_highest_level_decide_the_merged_grant(
    held: list[RoleGrant], path: str
) -> None:
    top = max(each.level for each in held)
    deciding = [each for each in held if each.level == top]
    grant = merged(*held)
    assert merged(*reversed(held)) == grant
    assert (grant.scope is ANY) == any(each.scope is ANY for each in deciding)
    for source in (JSON, QUERY):
        assert grant.refuses(source, path) == should_refuse(deciding, source, path)


NAMES = ("a", "a.x", "a.y", "b", "b.x")
GRANTS = st.builds(
    lambda scope, allowed, denied: Grant(
        scope,
        {JSON: frozenset(allowed)} if allowed is not None else {},
        {JSON: frozenset(denied)} if denied else {},
    ),
    st.sampled_from(Scope),
    st.none() | st.sets(st.sampled_from(NAMES), min_size=1),
    st.sets(st.sampled_from(NAMES)),
)


@examples()
@given(GRANTS, GRANTS)
def test_a_covering_grant_permits_everything_the_covered_grant_permits(
    mine: Grant, other: Grant
) -> None:
    if mine.covers(other):
        assert (mine.scope, other.scope) != (OWN, ANY)
        assert refused(mine, *NAMES, "a.z", "c") <= refused(other, *NAMES, "a.z", "c")


@examples()
@given(GRANTS)
def test_a_grant_covers_itself_and_an_unlimited_principal_covers_all(grant: Grant) -> None:
    assert grant.covers(grant)
    assert UNLIMITED.covers(grant)


@pytest.mark.parametrize(
    ("mine", "other", "covered"),
    [
        (row(1), row(1, deny="a"), True),
        (row(1, deny="a"), row(1), False),
        (row(1, deny="a"), row(1, deny="a.x"), False),
        (row(1, deny="a.x"), row(1, deny="a"), True),
        (row(1, allow="a"), row(1), False),
        (row(1, allow="a"), row(1, allow="a.x"), True),
        (row(1, allow="a.x"), row(1, allow="a"), False),
        (row(1, allow="a"), row(1, allow="a b"), False),
        (row(1, allow="a"), row(1, allow="a b", deny="b"), True),
        (row(1, deny="b"), row(1, allow="a"), True),
        (row(1, ANY), row(1), True),
        (row(1), row(1, ANY), False),
    ],
)
def test_a_grant_covers_only_weaker_or_equal_grants(
    mine: RoleGrant, other: RoleGrant, *, covered: bool
) -> None:
    assert merged(mine).covers(merged(other)) is covered
