"""The views of what all processes counted, minute by minute."""

from datetime import datetime

from backstay.core.messages import View


class Counts(View):
    """What was counted, by all processes together, and how long requests took.

    Requests do not count those of probes and `/metrics`. `errors` were answered with 5xx,
    `limited` with 429, `refused` with another 4xx. `p50` and `p99` are in seconds, estimated from
    fixed buckets up to 5 s, and null without requests. `jobs_due` could run, `jobs_later` are to
    run later: the most that a process found. `connections_in_use` were the most that were found,
    once a second, of `connections_max`; both are of the processes that counted something.
    """

    requests: int
    errors: int
    refused: int
    limited: int
    p50: float | None
    p99: float | None
    sign_ins: int
    failed_sign_ins: int
    jobs_done: int
    jobs_failed: int
    cache_hits: int
    cache_misses: int
    jobs_due: int
    jobs_later: int
    connections_in_use: int
    connections_max: int


class CountedMinute(Counts):
    """What was counted in the minute that begins at `minute`."""

    minute: datetime


class CountedMinutes(View):
    """The minutes in which something was counted; of what is a gauge, `totals` has the largest."""

    since: datetime
    items: tuple[CountedMinute, ...]
    totals: Counts
