"""Draws series of minutes as charts in SVG, which browsers show without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor, log10
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 190, 56, 10, 22
SPAN = timedelta(hours=24)
_LINES = 4
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Series:
    """A field of each minute; ``style`` is the class by which the stylesheet colours it."""

    name: str
    label: str
    style: str = "first"


def chart(
    title: str, minutes: Sequence[Mapping[str, Any]], until: str, *series: Series, unit: str = ""
) -> Markup:
    """A chart of the 24 hours before ``until`` (ISO 8601), and the same in words.

    Of a minute that is absent nothing was counted: counters are 0 there, other values unknown.
    """
    end = datetime.fromisoformat(until)
    start = end - SPAN
    points = {
        each.name: [
            (_place(start, str(minute["minute"])), float(minute[each.name]))
            for minute in minutes
            if minute.get(each.name) is not None
        ]
        for each in series
    }
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


def _place(start: datetime, minute: str) -> float:
    part = (datetime.fromisoformat(minute) - start) / SPAN
    return LEFT + (WIDTH - LEFT) * min(max(part, 0.0), 1.0)


def _height(value: float, top: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / top)


def _line(points: Sequence[tuple[float, float]], top: float, series: Series) -> Markup:
    """A line through neighbouring minutes, broken where minutes are absent."""
    step, parts, last = (WIDTH - LEFT) / 1440, [], -1.0
    for x, value in points:
        is_next = last >= 0 and x - last < 1.6 * step
        parts.append(f"{'L' if is_next else 'M'}{x:.1f} {_height(value, top):.1f}")
        if not is_next:
            parts.append("h.8")  # else a single minute would be no line at all
        last = x
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
