"""The tables of sessions and of the devices that people sign in from."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.clock import new_id
from backstay.db.base import Base


class Session(Base):
    """A sign-in on one device.

    Only the keyed hash of the live refresh token is stored. ``rotations`` holds the times (Unix,
    seconds) of the latest minute's rotations, newest first. ``client_hash`` tells which client
    rotated last, ``former_client_hash`` which one did before it took over; ``shared_at`` is when
    another client was first seen with a copy of a token.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    epoch: Mapped[int]
    generation: Mapped[int] = mapped_column(default=0)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    rotations: Mapped[list[float]] = mapped_column(JSON, default=list)
    fingerprint_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    client_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    former_client_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    shared_at: Mapped[datetime | None]
    user_agent: Mapped[str] = mapped_column(String(300), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    idle_expires_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(32))


session_user = Index("ix_sessions_user_id_id", Session.user_id, Session.id)


class Device(Base):
    """A device from which a user has signed in: no more than a keyed hash tells it from others."""

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("user_id", "device_hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    device_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime] = mapped_column(index=True)
