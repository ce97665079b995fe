"""The table of what all processes counted, minute by minute."""

from datetime import datetime

from sqlalchemy import case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from backstay.db.base import Base


class MetricMinute(Base):
    """One row per minute for all processes; each adds what it counted. There is none without.

    ``bucket_0`` to ``bucket_12`` count the requests by the time that they took: in the order of
    ``BOUNDS``, each bucket by itself. What is left of them at the end are gauges: ``jobs_…`` are
    the largest number that a process found, ``connections_…`` those of all processes together.
    """

    __tablename__ = "metric_minutes"

    minute: Mapped[datetime] = mapped_column(primary_key=True)
    requests: Mapped[int]
    errors: Mapped[int]
    refused: Mapped[int]
    limited: Mapped[int]
    bucket_0: Mapped[int]
    bucket_1: Mapped[int]
    bucket_2: Mapped[int]
    bucket_3: Mapped[int]
    bucket_4: Mapped[int]
    bucket_5: Mapped[int]
    bucket_6: Mapped[int]
    bucket_7: Mapped[int]
    bucket_8: Mapped[int]
    bucket_9: Mapped[int]
    bucket_10: Mapped[int]
    bucket_11: Mapped[int]
    bucket_12: Mapped[int]
    sign_ins: Mapped[int]
    failed_sign_ins: Mapped[int]
    jobs_done: Mapped[int]
    jobs_failed: Mapped[int]
    cache_hits: Mapped[int]
    cache_misses: Mapped[int]
    jobs_due: Mapped[int]
    jobs_later: Mapped[int]
    connections_in_use: Mapped[int]
    connections_max: Mapped[int]


BUCKETS = tuple(f"bucket_{number}" for number in range(13))
GAUGES = ("jobs_due", "jobs_later", "connections_in_use", "connections_max")
LARGEST = ("jobs_due", "jobs_later")
"""Of these the largest number of a minute is kept; all others are added up."""


def adding(*, is_sqlite: bool) -> sqlite.Insert | postgresql.Insert:
    """The statement by which a process adds to a minute; its parameters are the columns."""
    new = (sqlite.insert if is_sqlite else postgresql.insert)(MetricMinute)
    changes = {}
    for name, column in MetricMinute.__table__.columns.items():
        more = new.excluded[name]
        largest = case((more > column, more), else_=column)
        changes[name] = largest if name in LARGEST else column + more
    del changes["minute"]
    return new.on_conflict_do_update(index_elements=[MetricMinute.minute], set_=changes)
