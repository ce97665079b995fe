"""Rigs and masts: what the tests of resources and targets at boot declare."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.messages import View
from backstay.db.base import Entity
from backstay.db.resource import Resource

OWNED = {"info": {"owner": "tests"}}


class Rig(Entity):
    __tablename__ = "test_boot_rigs"
    __table_args__ = OWNED

    depth: Mapped[int]
    mast_id: Mapped[UUID] = mapped_column(ForeignKey("test_boot_masts.id"))


class RigDetail(View):
    id: UUID
    depth: int


RIGS = Resource("rigs", Rig, RigDetail)


class Mast(Entity):
    __tablename__ = "test_boot_masts"
    __table_args__ = OWNED

    height: Mapped[int]
