"""The table of mailed links that are not yet used."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from backstay import Base, new_id


class MailToken(Base):
    """A link for one purpose, to one address of one user. A used link is deleted.

    The token is not stored in any form: it is derived from the id and the server's key. ``epoch``
    is the user's security epoch at the time the link was created.
    """

    __tablename__ = "mail_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    purpose: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254))
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


mail_tokens_user = Index("ix_mail_tokens_user_id_purpose", MailToken.user_id, MailToken.purpose)
