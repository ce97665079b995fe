"""The buckets in which times to answer are counted, and the quantiles that follow from them."""

from collections.abc import Sequence

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""In seconds. The last bucket, of what takes longer, has no bound."""


def quantile(share: float, counts: Sequence[int]) -> float | None:
    """A quantile in seconds, interpolated inside its bucket as Prometheus does; None without any.

    ``counts`` are those of each bucket by itself. In the last bucket it is the bound before.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    below, lower = 0, 0.0
    for bound, count in zip(BOUNDS, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return BOUNDS[-1]
