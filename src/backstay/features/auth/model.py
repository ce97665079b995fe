"""The tables of sessions and of the devices from which users signed in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.clock import new_id
from backstay.db.base import Base


class Session(Base):
    """The session of a sign-in on one device.

    Of the live refresh token only the keyed hash is stored. ``rotations`` holds the Unix times, in
    seconds, of the latest rotation and of those in the minute before it, newest first.
    ``client_hash`` identifies the client that rotated last, ``former_client_hash`` the one before
    it. ``shared_at`` is when another client was first seen with a copy of a token.

    ``proven_at`` is when its user last proved who they are. In the session of an impersonator, who
    is ``actor_id``, nobody ever did; it lasts no longer than the impersonator's own one.
    """

    __tablename__ = "sessions"
    __owner__ = "user_id"

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
    proven_at: Mapped[datetime | None]
    actor_id: Mapped[UUID | None]
    actor_session_id: Mapped[UUID | None]


session_user = Index("ix_sessions_user_id_id", Session.user_id, Session.id)


class Device(Base):
    """A device from which a user signed in; only a keyed hash identifies it."""

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("user_id", "device_hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    device_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime] = mapped_column(index=True)
