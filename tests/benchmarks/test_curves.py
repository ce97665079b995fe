"""Shows when a curve counts as growing, and what its plot shows."""

from xml.etree import ElementTree

import pytest

from benchmarks.curves import Curve, plot, short


def curve(*costs: float, must_be_flat: bool = True) -> Curve:
    by_size = {10**power: cost for power, cost in enumerate(costs, 3)}
    return Curve("rows", "by <id>", by_size, must_be_flat)


@pytest.mark.parametrize(
    ("costs", "is_too_steep"),
    [((100, 110, 120), False), ((100, 110, 121), True), ((100, 50), False), ((50, 61), True)],
)
def test_what_must_be_flat_has_a_limit(costs: tuple[float, ...], is_too_steep: bool) -> None:
    assert curve(*costs).is_too_steep is is_too_steep
    assert not curve(*costs, must_be_flat=False).is_too_steep


def test_growth_is_from_the_smallest_size_to_the_largest() -> None:
    assert curve(100, 300, 200).growth == 2
    assert curve(100, 80, 90).growth == 0.9


def test_sizes_are_short() -> None:
    assert [short(size) for size in (1, 50, 1000, 1500, 10_000, 10**6, 10**9)] == [
        "1", "50", "1k", "1500", "10k", "1M", "1000M",
    ]  # fmt: skip


def test_a_plot_has_a_line_per_curve() -> None:
    curves = [curve(100, 110, 200), curve(100, 1000, 90_000, must_be_flat=False)]
    drawn = ElementTree.fromstring(plot(curves))
    lines = drawn.findall(".//{*}polyline")
    assert len(lines) == 2
    places = [float(point.partition(",")[0]) for point in (lines[0].get("points") or "").split()]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    assert [text.text for text in drawn.findall(".//{*}text")][-1] == "by <id> (900.00)"
