"""Draws series of minutes as charts in SVG, which browsers show without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import floor, log10
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 190, 56, 10, 22
SPAN = timedelta(hours=24)
_MERGED = 2
"""So many neighbouring minutes are one point: a chart is about as many pixels wide."""
_PLACES = int(SPAN.total_seconds()) // 60 // _MERGED
_LINES = 4
_TICKS = 6
_Minute = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """A field of each minute; ``style`` is the class by which the stylesheet colours it."""

    name: str
    label: str
    style: str = "first"


def chart(
    title: str, minutes: Sequence[_Minute], until: str, *series: Series, unit: str = ""
) -> Markup:
    """A chart of the 24 hours before ``until`` (ISO 8601), and the same in words.

    Of a minute that is absent nothing was counted: counters are 0 there, other values unknown.
    Of two neighbouring minutes the higher value is drawn.
    """
    end = datetime.fromisoformat(until)
    start = end - SPAN
    spans = _spans(minutes, _minute(start.isoformat()))
    points = {each.name: _points(spans, each.name) for each in series}
    most = {name: max((value for _, value in found), default=0.0) for name, found in points.items()}
    top = _round_up(max(most.values(), default=0.0))
    summary = "; ".join(f"{e.label}: {_amount(most[e.name], unit)} at most" for e in series)
    drawn = [_axis(start, top, unit), *(_line(points[each.name], top, each) for each in series)]
    legend = [Markup('<li class="%s">%s</li>') % (each.style, each.label) for each in series[:4]]
    return Markup(
        '<figure class="chart"><figcaption>%s</figcaption>'
        '<svg viewBox="0 0 %s %s" role="img" aria-label="%s">%s</svg>'
        '<ul class="legend">%s</ul></figure>'
    ) % (
        title,
        WIDTH,
        HEIGHT,
        f"{title}. {summary}.",
        Markup("").join(drawn),
        Markup("").join(legend),
    )


def _spans(minutes: Sequence[_Minute], first: int) -> dict[int, list[_Minute]]:
    """The minutes by where they are drawn: there is no room for each."""
    spans: dict[int, list[_Minute]] = {}
    for minute in minutes:
        place = (_minute(minute["minute"]) - first) // _MERGED
        spans.setdefault(min(max(place, 0), _PLACES), []).append(minute)
    return spans


@lru_cache(3000)
def _minute(moment: str) -> int:
    """The number of a minute; every chart of a page asks for the same ones."""
    return int(datetime.fromisoformat(moment).timestamp()) // 60


def _points(spans: Mapping[int, Sequence[_Minute]], name: str) -> list[tuple[int, float]]:
    """Where something was counted, and the most there."""
    return [
        (place, float(max(values)))
        for place, span in spans.items()
        if (values := [each[name] for each in span if each.get(name) is not None])
    ]


def _height(value: float, top: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / top)


def _line(points: Sequence[tuple[int, float]], top: float, series: Series) -> Markup:
    """A line through neighbours, broken where minutes are absent."""
    step, parts, last = (WIDTH - LEFT) / _PLACES, [], -2
    for place, value in points:
        parts.append("L" if place == last + 1 else "M")
        parts.append(f"{LEFT + place * step:.1f} {_height(value, top):.1f}")
        if place != last + 1:
            parts.append("h.8")  # else a single point would be no line at all
        last = place
    return Markup('<path class="line %s" d="%s"/>') % (series.style, "".join(parts))


def _axis(start: datetime, top: float, unit: str) -> Markup:
    parts = []
    for number in range(_LINES + 1):
        value = top * number / _LINES
        y = _height(value, top)
        parts.append(Markup('<path class="grid" d="M%s %.1fH%s"/>') % (LEFT, y, WIDTH))
        parts.append(
            Markup('<text class="tick" x="%s" y="%.1f" text-anchor="end">%s</text>')
            % (LEFT - 6, min(y + 4, HEIGHT - BOTTOM), _amount(value, unit))
        )
    for number in range(1, _TICKS):
        moment = start + SPAN * number / _TICKS
        x = LEFT + (WIDTH - LEFT) * number / _TICKS
        parts.append(
            Markup('<text class="tick" x="%.1f" y="%s" text-anchor="middle">%s</text>')
            % (x, HEIGHT - 6, moment.astimezone(UTC).strftime("%H:%M"))
        )
    return Markup("").join(parts)


def _round_up(value: float) -> float:
    """The next value of 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def duration(seconds: float | None) -> str:
    """A time as people read it."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    if value >= 10_000:
        return f"{value / 1000:.3g}k{unit}"
    return f"{value:.3g}{unit}"
