"""Queries about accounts that this feature declares and the feature with the accounts handles."""

from uuid import UUID

from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY


class RequireUser(Query[None]):
    """Refuse, unless there is a living user with this id."""

    permission = SYSTEM_ONLY

    user_id: UUID


class RequireActive(Query[None]):
    """Refuse, unless there is a living user with this id who is not blocked."""

    permission = SYSTEM_ONLY

    user_id: UUID


class RequireSuperuser(Query[None]):
    """Refuse, unless somebody who can sign in may do everything."""

    permission = SYSTEM_ONLY
