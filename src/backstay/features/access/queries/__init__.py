"""Queries about roles, grants and memberships; exports those that other features send."""

from backstay.features.access.queries.membership import (
    MEMBERS,
    MEMBERS_BY_NAME,
    GetMembership,
    ListDeletedPowers,
    ListSuperusers,
    standing_of,
)

__all__ = [
    "MEMBERS",
    "MEMBERS_BY_NAME",
    "GetMembership",
    "ListDeletedPowers",
    "ListSuperusers",
    "standing_of",
]
