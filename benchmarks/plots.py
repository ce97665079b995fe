"""Draws the figures as SVG."""

from collections.abc import Iterable
from html import escape
from math import log10

from benchmarks.measuring import Summary

ROW, LEFT, WIDTH = 26, 190, 420
OURS, OURS_TAIL, BARE, BARE_TAIL, LINE = "#2b6cb0", "#90cdf4", "#718096", "#cbd5e0", "#c53030"


def bars(database: str, ratio: dict[str, float]) -> str:
    """A bar per case; the line is the bare application."""
    longest = max([1.2, *ratio.values()])
    drawn = []
    for n, (name, value) in enumerate(ratio.items()):
        y, width = 34 + n * ROW, value / longest * WIDTH
        drawn += [_name(name, y + 12), _bar(y, 16, width, OURS)]
        drawn.append(_text(LEFT + width + 6, y + 12, f"{value:.2f}"))
    height, bare = 48 + len(ratio) * ROW, LEFT + WIDTH / longest
    drawn.append(
        f'<line x1="{bare:.0f}" x2="{bare:.0f}" y1="26" y2="{height - 10}" stroke="{LINE}" '
        'stroke-dasharray="4 3"/>'
    )
    title = f"{database}: CPU time per request, bare ÷ Backstay (fifty-roles: one-role ÷ it)"
    return _drawing(title, height, drawn)


def times(database: str, summary: Summary) -> str:
    """Per case two bars, ours and below it that of bare: to p50 dark, to p99 light, in log scale.

    The shortest bar ends at a tenth of a millisecond.
    """
    cases = [name for name in summary if f"{name} bare" in summary]
    pairs = {name: (summary[name], summary[f"{name} bare"]) for name in cases}
    longest = max([1.0, *(m.p99 for pair in pairs.values() for m in pair)])
    drawn = []
    for n, (name, pair) in enumerate(pairs.items()):
        y = 34 + n * ROW
        drawn.append(_name(name, y + 14))
        colours = ((OURS, OURS_TAIL), (BARE, BARE_TAIL))
        for place, m, (dark, light) in zip((y, y + 10), pair, colours, strict=True):
            tail = _length(m.p99, longest)
            drawn += [_bar(place, 9, tail, light), _bar(place, 9, _length(m.p50, longest), dark)]
            drawn.append(_text(LEFT + tail + 6, place + 8, f"{m.p50:.1f}, {m.p99:.1f}", 9))
    title = f"{database}: p50 and p99 in ms, log scale; Backstay blue, bare grey"
    return _drawing(title, 48 + len(cases) * ROW, drawn)


def _length(milliseconds: float, longest: float) -> float:
    return max(2.0, log10(max(milliseconds, 0.1) / 0.1) / log10(longest / 0.1) * WIDTH)


def _bar(y: float, height: int, width: float, colour: str) -> str:
    return f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, content: str, size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y}" font-size="{size}">{escape(content)}</text>'


def _name(name: str, y: float) -> str:
    return f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{escape(name)}</text>'


def _drawing(title: str, height: int, drawn: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 80}" height="{height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{_text(20, 20, title)}{''.join(drawn)}</svg>\n"
    )
