"""Rates, and the rules of a tier that give some routes a rate of their own."""

from collections.abc import Iterable
from dataclasses import dataclass

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""The periods that have a name, in seconds."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``limit`` requests per ``period`` seconds.

    A ``strict`` rate protects credentials: each process allows half while they cannot count
    together.
    """

    limit: int
    period: int
    strict: bool = False

    def __str__(self) -> str:
        unit = next((unit for unit, length in UNITS.items() if length == self.period), None)
        return f"{self.limit}/{unit or f'{self.period} s'}"


@dataclass(frozen=True, slots=True)
class RateRule:
    """A rate for a path: the template of a route, or a prefix of templates followed by ``*``."""

    path: str
    rate: Rate

    def holds_for(self, template: str) -> bool:
        """Whether this rule applies to a route; several rules may."""
        if self.path.endswith("*"):
            return template.startswith(self.path[:-1])
        return template == self.path


class RateRules:
    """The rules of one tier. The rule that was found for a template is remembered."""

    __slots__ = ("_found", "_rules")

    def __init__(self, rules: Iterable[RateRule] = ()) -> None:
        self._rules = sorted(rules, key=lambda r: (r.path.endswith("*"), -len(r.path)))
        self._found: dict[str, RateRule | None] = {}

    def find(self, template: str) -> RateRule | None:
        """The rule of a route: an exact path comes before the longest prefix; None without one."""
        try:
            return self._found[template]
        except KeyError:
            rule = next((r for r in self._rules if r.holds_for(template)), None)
            self._found[template] = rule
            return rule


NO_RULES = RateRules()
