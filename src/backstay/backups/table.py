"""The table of backups: what became of each that was tried, for metrics and health."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Double, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.clock import new_id
from backstay.db.base import Base


class Backup(Base):
    """A backup that was tried; its ``state`` is one of `BackupState`.

    The manifest beside a backup decides whether it can be restored; this row only tells of it.
    """

    __tablename__ = "backups"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    location: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Double)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
