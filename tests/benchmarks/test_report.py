"""What a run says of its figures: ratios, targets and plots."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import plots, report, workers
from benchmarks.cases import POSTGRESQL, SQLITE_FILE
from benchmarks.load import Measured
from benchmarks.targets import TARGETS, verdicts


def costing(cpu: float, p99: float = 2.0) -> Measured:
    """The figures of a burst of which only these matter."""
    return Measured(100, 50.0, 1.0, p99, cpu)


SUMMARY = {
    "item": costing(200, p99=4.0),
    "item bare": costing(150, p99=2.0),
    "item floor": costing(100),
    "one-role": costing(200),
    "fifty-roles": costing(210),
}


def test_a_ratio_divides_the_time_of_the_other_by_ours() -> None:
    assert report.ratios(SUMMARY) == {"item": 0.75, "fifty-roles": pytest.approx(0.952, abs=0.001)}
    assert report.ratios(SUMMARY, "floor") == {"item": 0.5}


@pytest.mark.parametrize(
    ("ours", "p99", "met"), [(200, 4.0, [True, True]), (201, 4.1, [False, False])]
)
def test_a_bound_itself_is_met(ours: float, p99: float, met: list[bool]) -> None:
    found = list(verdicts(SUMMARY | {"item": costing(ours, p99)}))
    assert [each.target.name for each in found] == [
        "item, bare ÷ ours",
        "p99 of item, as a multiple of bare's",
    ]
    assert [each.met for each in found] == met


def test_a_verdict_says_what_was_wanted() -> None:
    said = [str(each) for each in verdicts(SUMMARY | {"item": costing(300, 4.0)})]
    assert said == [
        "missed item, bare ÷ ours: 0.50, at least 0.75",
        "met    p99 of item, as a multiple of bare's: 2.00, at most 2",
    ]


def test_every_target_can_be_measured() -> None:
    names = {
        name
        for case in ("item", "page", "keyset", "create", "update", "me", "cached")
        for name in (case, f"{case} bare", f"{case} of items", f"{case} generated")
    }
    alone = ["idle me", "storm me", "console", "console-api"]
    summary = dict.fromkeys([*names, *alone], costing(100))
    assert [each.target for each in verdicts(summary)] == list(TARGETS)


def test_a_page_of_the_console_is_compared_with_the_api() -> None:
    summary = {"console": costing(450), "console-api": costing(200)}
    assert report.comparisons(POSTGRESQL, summary) == [
        "console: a page of 25 rows costs 2.25 times the API's own list"
    ]


def test_what_was_not_measured_is_not_judged() -> None:
    assert list(verdicts({})) == []
    assert report.judged(SQLITE_FILE, SUMMARY) == []


def test_writers_and_workers_are_compared() -> None:
    summary = {
        workers.label(name, side, count): costing(100 * count, p99=count)
        for name in ("item", "create", "mixed", workers.ALONE, workers.BESIDE)
        for side in ("", " bare")
        for count in (1, 4)
    }
    said = workers.comparisons(SQLITE_FILE, summary)
    assert len(said) == 2 * (3 + 2)
    assert said[0].startswith("workers of Backstay: item: 4 serve 1.00 times one")


def test_plots_draw_each_case() -> None:
    for drawn in (plots.bars("sqlite", {"a<b": 0.5}), plots.times("sqlite", SUMMARY)):
        root = ElementTree.fromstring(drawn)
        assert len(root.findall("{*}text")) >= 3


def test_longer_times_have_longer_bars() -> None:
    root = ElementTree.fromstring(plots.times("sqlite", SUMMARY))
    tail, dark, bare_tail, bare = [
        int(rect.attrib["width"]) for rect in root.findall("{*}rect")[1:]
    ]
    assert tail > bare_tail > dark == bare


def test_a_run_is_kept(tmp_path: Path) -> None:
    report.write({POSTGRESQL: SUMMARY}, {}, tmp_path)
    kept = json.loads((tmp_path / "latest.json").read_text("utf-8"))
    assert kept["databases"]["postgresql"]["ratios"]["item"] == 0.75
    assert [each["met"] for each in kept["databases"]["postgresql"]["targets"]] == [True, True]
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "postgresql-ratios.svg",
        "postgresql-times.svg",
    }
