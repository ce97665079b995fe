"""What we want to reach on PostgreSQL, and whether a run has reached it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import generated
from benchmarks.measuring import Summary


@dataclass(frozen=True)
class Target:
    """A figure and its bound: the least where ``at_least``, else the most."""

    name: str
    bound: float
    figure: Callable[[Summary], float | None]
    at_least: bool = True

    def verdict(self, summary: Summary) -> "Verdict | None":
        """Whether a run has met it; None where it was not measured."""
        figure = self.figure(summary)
        if figure is None:
            return None
        met = figure >= self.bound if self.at_least else figure <= self.bound
        return Verdict(self, figure, met)


@dataclass(frozen=True)
class Verdict:
    """A target, what was measured, and whether that is good enough."""

    target: Target
    figure: float
    met: bool

    def __str__(self) -> str:
        wanted = f"at {'least' if self.target.at_least else 'most'} {self.target.bound:g}"
        return (
            f"{'met' if self.met else 'missed':6} {self.target.name}: {self.figure:.2f}, {wanted}"
        )


def _quotient(over: str, under: str, figure: str) -> Callable[[Summary], float | None]:
    """One measurement's figure divided by that of another, if both were made."""

    def found(summary: Summary) -> float | None:
        if not {over, under} <= summary.keys():
            return None
        divided: float = getattr(summary[over], figure) / getattr(summary[under], figure)
        return divided

    return found


RATIOS = {
    "item": 0.75,
    "page": 0.7,
    "keyset": 0.6,
    "create": 0.4,
    "update": 0.2,
    "me": 1.3,
    "cached": 1.4,
}
"""The least CPU time of the bare application divided by ours."""
TARGETS = (
    *(
        Target(f"{name}, bare ÷ ours", least, _quotient(f"{name} bare", name, "cpu"))
        for name, least in RATIOS.items()
    ),
    Target(
        "p99 of item, as a multiple of bare's",
        2.0,
        _quotient("item", "item bare", "p99"),
        at_least=False,
    ),
    Target(
        "p99 of me in a storm of logins, as a multiple of that without",
        2.0,
        _quotient("storm me", "idle me", "p99"),
        at_least=False,
    ),
    Target(
        "a list of the console, as a multiple of the API's own",
        3.0,
        _quotient("console", "console-api", "cpu"),
        at_least=False,
    ),
    *(
        Target(
            f"{name} of a generated entity, as a multiple of that of items",
            1.1,
            _quotient(generated.made(name), generated.written(name), "cpu"),
            at_least=False,
        )
        for name in generated.MEASURED
    ),
)


def verdicts(summary: Summary) -> Iterator[Verdict]:
    """What a run on PostgreSQL says of the targets that it measured."""
    return (found for each in TARGETS if (found := each.verdict(summary)) is not None)
