"""Queries about accounts that this feature declares and the feature with the accounts handles."""

from uuid import UUID

from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY


class RequireUser(Query[None]):
    """Refuse unless a user with this id exists and is not deleted."""

    permission = SYSTEM_ONLY

    user_id: UUID


class RequireActive(Query[None]):
    """Refuse unless a user with this id exists and is neither deleted nor blocked."""

    permission = SYSTEM_ONLY

    user_id: UUID


class RequireSuperuser(Query[None]):
    """Refuse unless there is a superuser who can sign in."""

    permission = SYSTEM_ONLY
