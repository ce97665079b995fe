"""Shows that quantiles from buckets are as near to the true ones as their bucket is wide."""

from bisect import bisect_left
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.latency import BOUNDS, quantile
from tests.examples import examples


def counted(times: list[float]) -> list[int]:
    counts = [0] * (len(BOUNDS) + 1)
    for each in times:
        counts[bisect_left(BOUNDS, each)] += 1
    return counts


@examples()
@given(st.lists(st.floats(0.0001, 9), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_true_one(times: list[float], share: float) -> None:
    true = sorted(times)[ceil(share * len(times)) - 1]
    bucket = bisect_left(BOUNDS, true)
    found = quantile(share, counted(times))
    assert found is not None
    if bucket == len(BOUNDS):
        assert found == BOUNDS[-1]
    else:
        lower = BOUNDS[bucket - 1] if bucket else 0
        assert lower <= found <= BOUNDS[bucket] + 1e-9


def test_it_is_interpolated_inside_its_bucket() -> None:
    counts = [0] * 13
    counts[6] = 4  # from 50 to 100 ms
    assert quantile(0.5, counts) == pytest.approx(0.075)
    assert quantile(1.0, counts) == 0.1


def test_of_nothing_there_is_none() -> None:
    assert quantile(0.5, [0] * 13) is None
