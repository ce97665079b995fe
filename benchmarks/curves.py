"""Curves of cost over size: whether each stays flat, as a table and as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

from rich.console import Console
from rich.table import Table

LIMIT = 1.2
"""What must not grow costs at most so many times at the largest size what it costs at first."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _KEY = 420, 260, 60, 40, 330
_COLOURS = (
    "#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#718096", "#b7791f", "#1a202c",
)  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """What one request costs over the size of something, on one database.

    Attributes:
        axis: what grows.
        costs: CPU microseconds of a request, by size: of the server, and of its PostgreSQL.
        must_be_flat: whether the cost may not grow by more than the limit.
    """

    axis: str
    name: str
    costs: Mapping[int, float]
    must_be_flat: bool

    @property
    def growth(self) -> float:
        """The cost at the largest size, as a multiple of that at the smallest.

        What is higher in between only is no growth: one process may be slower than the next.
        """
        return self.costs[max(self.costs)] / self.costs[min(self.costs)]

    @property
    def is_too_steep(self) -> bool:
        """Whether it must be flat and is not."""
        return self.must_be_flat and self.growth > LIMIT


def short(size: int) -> str:
    """A size in three or four characters: 1, 50, 1k, 10M."""
    for unit, letter in ((10**6, "M"), (10**3, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def show(curves: Sequence[Curve], rounds: int) -> None:
    """Print a table per axis, a row per curve, and what grows that must not."""
    console = Console(width=110, highlight=False)
    for axis in dict.fromkeys(curve.axis for curve in curves):
        of_axis = [curve for curve in curves if curve.axis == axis]
        sizes = sorted({size for curve in of_axis for size in curve.costs})
        table = Table(title=f"CPU µs of a request, by {axis}; median of {rounds} rounds")
        for heading in ("", *map(short, sizes), "growth"):
            table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        for curve in of_axis:
            cells = (f"{curve.costs[size]:.0f}" if size in curve.costs else "" for size in sizes)
            mark = f" > {LIMIT}" if curve.is_too_steep else ""
            table.add_row(curve.name, *cells, f"{curve.growth:.2f}{mark}")
        console.print(table)
    flat = [curve for curve in curves if curve.must_be_flat]
    steep = [curve for curve in flat if curve.is_too_steep]
    console.print(f"{len(flat) - len(steep)} of {len(flat)} that must stay within {LIMIT} do.")
    for curve in steep:
        console.print(f"{curve.axis}: {curve.name} costs {curve.growth:.2f} times the first.")


def plot(curves: Sequence[Curve]) -> str:
    """An SVG with one diagram per axis: size and growth both on logarithmic scales."""
    axes = list(dict.fromkeys(curve.axis for curve in curves))
    parts = []
    for number, axis in enumerate(axes):
        shift = number * (_HEIGHT + _TOP + 50)
        body = _diagram([curve for curve in curves if curve.axis == axis])
        parts.append(f'<g transform="translate(0 {shift})">{body}</g>')
    width, height = _LEFT + _WIDTH + _KEY, len(axes) * (_HEIGHT + _TOP + 50)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _diagram(curves: Sequence[Curve]) -> str:
    sizes = sorted({size for curve in curves for size in curve.costs})
    top = max(2.0, *(_relative(curve)[size] for curve in curves for size in curve.costs))
    bottom = min(0.8, *(_relative(curve)[size] for curve in curves for size in curve.costs))

    def x(size: int) -> float:
        return _LEFT + log10(size / sizes[0]) / (log10(sizes[-1] / sizes[0]) or 1) * _WIDTH

    def y(growth: float) -> float:
        return _TOP + _HEIGHT - log10(growth / bottom) / log10(top / bottom) * _HEIGHT

    parts = [_text(_LEFT, 22, f"by {curves[0].axis}: cost as a multiple of the first", "start")]
    for size in sizes:
        parts.append(_text(x(size), _TOP + _HEIGHT + 18, short(size), "middle"))
    for tick in _ticks(bottom, top):
        dash = ' stroke-dasharray="4 3"' if tick == LIMIT else ""
        stroke = "#c53030" if tick == LIMIT else "#e2e8f0"
        line = f'x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"'
        parts.append(f'<line {line} stroke="{stroke}"{dash}/>')
        parts.append(_text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in sorted(_relative(curve).items()))
        dash = "" if curve.must_be_flat else ' stroke-dasharray="6 4"'
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        label = f"{curve.name} ({curve.growth:.2f})"
        parts.append(_text(_LEFT + _WIDTH + 14, _TOP + 14 + 18 * number, label, "start", colour))
    return "".join(parts)


def _relative(curve: Curve) -> dict[int, float]:
    first = curve.costs[min(curve.costs)]
    return {size: cost / first for size, cost in curve.costs.items()}


def _ticks(bottom: float, top: float) -> list[float]:
    decades = [10.0**n for n in range(-3, 8)]
    return [tick for tick in (LIMIT, *decades) if bottom <= tick <= top]


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#1a202c") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
