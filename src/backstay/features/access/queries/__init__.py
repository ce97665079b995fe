"""Questions about roles, grants and memberships; here, those that other features ask."""

from backstay.features.access.queries.membership import GetMembership, ListSuperusers

__all__ = ["GetMembership", "ListSuperusers"]
