"""Shows which rate rule applies to a route, in whatever order the rules are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.principal import STRANGER, Principal
from backstay.core.rates import Rate, RateRule
from tests.examples import examples

EXACT, SHORT, LONG = "/v1/items/{id}", "/v1/*", "/v1/items*"

segments = st.lists(st.sampled_from(["v1", "v2", "items", "{id}", "restore"]), max_size=4)
templates = segments.map(lambda parts: "/" + "/".join(parts))
prefixes = st.tuples(templates, st.integers(0, 12)).map(lambda t: f"/{t[0][1 : t[1]]}*")


def ruled(*paths: str) -> Principal:
    return Principal(rules=tuple(RateRule(path, Rate(1, 1)) for path in paths))


@pytest.mark.parametrize(
    ("paths", "template", "found"),
    [
        ((SHORT, LONG, EXACT), "/v1/items/{id}", EXACT),
        ((EXACT, LONG, SHORT), "/v1/items/{id}/restore", LONG),
        ((SHORT, LONG), "/v1/items", LONG),
        (("/v1/items/*", SHORT), "/v1/items", SHORT),
        ((SHORT, LONG, EXACT), "/v1/users", SHORT),
        (("/v1/items", EXACT), "/v1/items/{id}/restore", None),
        ((), "/v1/items", None),
    ],
)
def test_an_exact_path_beats_the_longest_prefix(
    paths: tuple[str, ...], template: str, found: str | None
) -> None:
    rule = ruled(*paths).rate_rule(template)
    assert (rule and rule.path) == found


@examples()
@given(st.lists(templates | prefixes, unique=True, max_size=8), templates)
def test_the_rule_found_is_the_best_that_fits(paths: list[str], template: str) -> None:
    fitting = [p for p in paths if p == template or template.startswith(p.removesuffix("*"))]
    fitting = [p for p in fitting if p == template or p.endswith("*")]
    known = ruled(*paths)
    rule = known.rate_rule(template)
    if template in paths:
        assert rule is not None
        assert rule.path == template
    else:
        assert (rule and rule.path) == max(fitting, key=len, default=None)
    assert known.rate_rule(template) is rule


def test_without_rules_nothing_is_found() -> None:
    assert STRANGER.rate_rule("/v1/items") is None
