"""Shows that the benchmark of steps knows the functions that it times."""

from benchmarks.steps import POINTS, points


def test_every_timed_function_exists() -> None:
    assert {step for step, _, _ in points()} == set(POINTS)
