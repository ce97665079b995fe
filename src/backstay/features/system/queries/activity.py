"""Queries of the audit trail."""

from datetime import datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.feature import PersonalData
from backstay.core.listing import Equals, ListQuery, Range
from backstay.core.messages import View
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec
from backstay.db.activity import TARGET, Activity
from backstay.db.listing import Listing
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.system.schemas.activity import ActivityEntry, ActivityExport, Outcome


class ListActivity(ListQuery[ActivityEntry]):
    """The audit trail, newest first."""

    permission = PermissionSpec("audit", "list", description="Read the audit trail")

    user_id: Equals[UUID] | None = None
    session_id: Equals[UUID] | None = None
    impersonator_id: Equals[UUID] | None = None
    target: Equals[str] | None = Field(
        default=None, description="The id of the object that the entries are about."
    )
    message: Equals[str] | None = None
    outcome: Equals[Outcome] | None = None
    code: Equals[str] | None = None
    created_at: Range[datetime] | None = None


ACTIVITY = Listing(ListActivity, Activity, ActivityEntry, columns={"target": TARGET})


class ExportActivity(PersonalData):
    """What the audit trail holds about a person, the newest entries if there are too many."""

    permission = SYSTEM_ONLY


MOST_ENTRIES = 10_000
_EXPORT = (
    select(*columns_of(ActivityExport, Activity))
    .where(Activity.user_id == bindparam("user_id"))
    .order_by(Activity.id.desc())
    .limit(MOST_ENTRIES)
)


@handles(ExportActivity)
async def export_activity(query: ExportActivity, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(ActivityExport.model_validate(row) for row in reversed(rows))
