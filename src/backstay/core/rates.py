"""Rates, and which holds where: the rules of a tier, found once per route."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``limit`` requests per ``period`` seconds.

    A ``strict`` one guards credentials: where processes cannot count together it is halved.
    """

    limit: int
    period: int
    strict: bool = False


@dataclass(frozen=True, slots=True)
class RateRule:
    """A rate for a path: the template of a route, or a prefix of some that ends in ``*``."""

    path: str
    rate: Rate

    def holds_for(self, template: str) -> bool:
        """Whether it is the rule of a route, or one of several."""
        if self.path.endswith("*"):
            return template.startswith(self.path[:-1])
        return template == self.path


class RateRules:
    """The rules of one tier. What was found for a template is remembered."""

    __slots__ = ("_found", "_rules")

    def __init__(self, rules: Iterable[RateRule] = ()) -> None:
        self._rules = sorted(rules, key=lambda r: (r.path.endswith("*"), -len(r.path)))
        self._found: dict[str, RateRule | None] = {}

    def find(self, template: str) -> RateRule | None:
        """The rule of a route: an exact path beats the longest prefix; None when there is none."""
        try:
            return self._found[template]
        except KeyError:
            rule = next((r for r in self._rules if r.holds_for(template)), None)
            self._found[template] = rule
            return rule


NO_RULES = RateRules()
