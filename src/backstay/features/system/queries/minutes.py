"""The query for what all processes counted, minute by minute."""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import AwareDatetime
from sqlalchemy import RowMapping, bindparam, select

from backstay.core.bus import handles
from backstay.core.latency import quantile
from backstay.core.messages import Query
from backstay.core.permissions import PermissionSpec
from backstay.core.ports import Clock
from backstay.db.session import Reader
from backstay.features.system.model import BUCKETS, GAUGES, MetricMinute
from backstay.features.system.schemas.minutes import CountedMinute, CountedMinutes, Counts

DAY = timedelta(days=1)
_NUMBERS = Counts.model_fields.keys() - {"p50", "p99"}


class ListMetricMinutes(Query[CountedMinutes]):
    """What all servers and workers counted in each minute of the last 24 hours, oldest first.

    `since` leaves earlier minutes out. A minute in which nothing was counted is absent.
    """

    permission = PermissionSpec("metrics", "read", description="See what servers and workers count")

    since: AwareDatetime | None = None


_MINUTES = (
    select(*MetricMinute.__table__.columns)
    .where(MetricMinute.minute >= bindparam("since"), MetricMinute.minute <= bindparam("now"))
    .order_by(MetricMinute.minute.desc())
    .limit(1440)
)


@handles(ListMetricMinutes)
async def list_metric_minutes(
    query: ListMetricMinutes, reader: Reader, clock: Clock
) -> CountedMinutes:
    now = clock()
    since = max(query.since or now - DAY, now - DAY)
    found = await reader.rows(_MINUTES, {"since": since, "now": now})
    rows = [row._mapping for row in reversed(found)]
    items = tuple(_counted(row) for row in rows)
    return CountedMinutes(since=since, items=items, totals=_totals(rows))


def _counted(row: RowMapping) -> CountedMinute:
    counts = {name: row[name] for name in _NUMBERS}
    p50, p99 = _quantiles([row])
    return CountedMinute(minute=row["minute"], p50=p50, p99=p99, **counts)


def _totals(rows: Sequence[RowMapping]) -> Counts:
    counts = {
        name: max((row[name] for row in rows), default=0)
        if name in GAUGES
        else sum(row[name] for row in rows)
        for name in _NUMBERS
    }
    p50, p99 = _quantiles(rows)
    return Counts(p50=p50, p99=p99, **counts)


def _quantiles(rows: Sequence[RowMapping]) -> tuple[float | None, float | None]:
    counts = [sum(row[bucket] for row in rows) for bucket in BUCKETS]
    return quantile(0.5, counts), quantile(0.99, counts)
