"""Rates, and the rules of a tier that give some routes a rate of their own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``limit`` requests per ``period`` seconds.

    A ``strict`` rate protects credentials: each process allows half while they cannot count
    together.
    """

    limit: int
    period: int
    strict: bool = False


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
