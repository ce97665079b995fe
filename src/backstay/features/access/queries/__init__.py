"""Questions about roles, grants and memberships; here, those that other features ask."""

from backstay.features.access.queries.membership import (
    MEMBERS_BY_NAME,
    GetMembership,
    ListSuperusers,
)

__all__ = ["MEMBERS_BY_NAME", "GetMembership", "ListSuperusers"]
