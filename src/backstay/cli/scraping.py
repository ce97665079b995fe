"""Reads the metrics of running servers and workers, and compares two reads."""

import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isnan
from time import monotonic
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
MOST_BYTES = 32 * 1024 * 1024
"""Of an answer: one that is longer is no exposition of ours."""


class ScrapeError(Exception):
    """Metrics could not be read; the text says why, and what to do."""


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token would be sent on with it."""

    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(slots=True)
class Scrape:
    """The samples of one read, by name and labels; ``at`` is in seconds of a monotonic clock."""

    at: float
    samples: dict[str, dict[Labels, float]] = field(default_factory=dict)

    def of(self, name: str, **wanted: str) -> Iterator[tuple[dict[str, str], float]]:
        """The samples of a name whose labels are at least these."""
        for labels, value in self.samples.get(name, {}).items():
            found = dict(labels)
            if all(found.get(key) == each for key, each in wanted.items()) and not isnan(value):
                yield found, value

    def without(self, label: str, values: Collection[str]) -> "Scrape":
        """The same without the samples whose label has one of these values."""
        dropped = {(label, value) for value in values}
        kept = {
            name: {labels: value for labels, value in found.items() if dropped.isdisjoint(labels)}
            for name, found in self.samples.items()
        }
        return Scrape(self.at, kept)

    def total(self, name: str, **wanted: str) -> float:
        """The sum of these samples; 0 if there is none."""
        return sum(value for _, value in self.of(name, **wanted))


def read(url: str, token: str, seconds: float) -> Scrape:
    """Read the metrics of one server or worker, with a limit on each wait of the connection.

    Raises:
        ScrapeError: there are none, or they are not for whoever asks.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{url}/metrics", headers=headers)  # noqa: S310
    opener = urllib.request.build_opener(_Straight)
    try:
        with opener.open(request, timeout=seconds) as answer:
            body = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise ScrapeError(_TOLD.get(error.code, f"answers {error.code}")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        told = getattr(reason, "strerror", None) or reason
        raise ScrapeError(f"does not answer: {told}") from None
    try:
        return parsed(body)
    except ValueError:
        raise ScrapeError("answers something that is no metrics") from None


_TOLD = {
    401: "refuses the token: APP_METRICS_TOKEN here must be that of the server",
    404: "has no metrics: APP_METRICS is off there, or nginx keeps them to itself",
}


def checked_url(url: str) -> str:
    """The address of a server without the slash at its end.

    Raises:
        ScrapeError: it is not that of a server.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ScrapeError("is no address of a server, such as http://127.0.0.1:8000")
    return url.rstrip("/").removesuffix("/metrics")


def parsed(body: bytes) -> Scrape:
    """The samples of an exposition in the text format.

    Raises:
        ValueError: it is none.
    """
    if len(body) > MOST_BYTES:
        raise ValueError
    scrape = Scrape(monotonic())
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            by_labels = scrape.samples.setdefault(sample.name, {})
            by_labels[frozenset(sample.labels.items())] = sample.value
    return scrape


def merged(scrapes: Sequence[Scrape]) -> Scrape:
    """The sums of several servers and workers, for what each counts itself.

    What each of them reads from the same database, such as the jobs that wait, is not added.
    """
    whole = Scrape(max(each.at for each in scrapes))
    for scrape in scrapes:
        for name, by_labels in scrape.samples.items():
            found = whole.samples.setdefault(name, {})
            for labels, value in by_labels.items():
                known = found.get(labels)
                both = _MERGED.get(name.removeprefix("backstay_"), sum)
                found[labels] = value if known is None else both((known, value))
    return whole


_MERGED: Mapping[str, Callable[[tuple[float, float]], float]] = {
    **dict.fromkeys(("broker_up", "principal_channel_up", "redis_up"), min),
    **dict.fromkeys(
        (
            "build_info",
            "db_replica_lag_bytes",
            "db_replica_lag_seconds",
            "health",
            "jobs_oldest_seconds",
            "jobs_ready",
            "schedule_last_fired_timestamp_seconds",
            "schedule_overdue_seconds",
        ),
        max,
    ),
}
"""How two samples become one; samples of all other metrics are added."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened between two reads of the same processes."""

    before: Scrape
    now: Scrape

    @property
    def seconds(self) -> float:
        """The time between the reads."""
        return max(self.now.at - self.before.at, 1e-9)

    def grown(self, name: str, **wanted: str) -> float:
        """By how much counters grew; one that is smaller than before began again at zero."""
        return sum(self.each(name, **wanted).values())

    def rate(self, name: str, **wanted: str) -> float:
        """By how much counters grew in a second."""
        return self.grown(name, **wanted) / self.seconds

    def each(self, name: str, **wanted: str) -> dict[Labels, float]:
        """By how much each counter of a name grew."""
        known = self.before.samples.get(name, {})
        found = {}
        for labels, value in self.now.of(name, **wanted):
            key = frozenset(labels.items())
            earlier = known.get(key, 0.0)
            found[key] = value - earlier if value >= earlier else value
        return found

    def without(self, label: str, values: Collection[str]) -> "Change":
        """The same without the samples whose label has one of these values."""
        return Change(self.before.without(label, values), self.now.without(label, values))

    def by(self, label: str, name: str, **wanted: str) -> dict[str, float]:
        """By how much the counters of a name grew, added up by the value of one label."""
        sums: dict[str, float] = defaultdict(float)
        for labels, value in self.each(name, **wanted).items():
            sums[dict(labels).get(label, "")] += value
        return dict(sums)

    def quantile(self, share: float, name: str, **wanted: str) -> float | None:
        """A quantile of a histogram over this time, interpolated as Prometheus does; None if empty.

        In the last bucket, which has no upper bound, it is the bound of the one before.
        """
        counts = self.by("le", f"{name}_bucket", **wanted)
        bounds = sorted((inf if le == "+Inf" else float(le), n) for le, n in counts.items())
        if not bounds or not bounds[-1][1]:
            return None
        rank, below = share * bounds[-1][1], (0.0, 0.0)
        for lower, upper in pairwise([below, *bounds]):
            if upper[1] >= rank:
                if upper[0] == inf:
                    return lower[0]
                width, inside = upper[0] - lower[0], upper[1] - lower[1]
                return lower[0] + width * ((rank - lower[1]) / inside if inside else 1.0)
        return bounds[-1][0]
