"""The table of users."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.errors import Conflict
from backstay.db.base import Entity, SoftDelete
from backstay.db.faults import taken_by


class EmailTaken(Conflict):
    code, title = "users.email_taken", "This e-mail address is taken"


class _UsernameTaken(Conflict):
    code, title = "users.username_taken", "This username is taken"


class User(SoftDelete, Entity):
    """A user. E-mail and username are stored normalised, and are unique among users not deleted.

    ``security_epoch`` is increased whenever every session of the user must end; a session belongs
    to the epoch in which it was started. A changed e-mail address is pending until it is confirmed.
    """

    __tablename__ = "users"
    __owner__ = "id"

    email: Mapped[str] = mapped_column(String(254))
    pending_email: Mapped[str | None] = mapped_column(String(254))
    username: Mapped[str | None] = mapped_column(String(32))
    name: Mapped[str | None] = mapped_column(String(100))
    password_hash: Mapped[str] = mapped_column(String(255))
    email_verified_at: Mapped[datetime | None]
    blocked_at: Mapped[datetime | None]
    security_epoch: Mapped[int] = mapped_column(default=0)
    tier: Mapped[str | None] = mapped_column(
        String(64),
        ForeignKey("tiers.name", onupdate="CASCADE", ondelete="RESTRICT"),
        index=True,
    )


user_email = Index(
    "uq_users_email",
    User.email,
    unique=True,
    postgresql_where=User.deleted_at.is_(None),
    sqlite_where=User.deleted_at.is_(None),
)
taken_by(user_email, EmailTaken)
user_username = Index(
    "uq_users_username",
    User.username,
    unique=True,
    postgresql_where=User.deleted_at.is_(None),
    sqlite_where=User.deleted_at.is_(None),
)
taken_by(user_username, _UsernameTaken)
