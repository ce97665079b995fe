"""Commands that change roles, grants and memberships; exports those that other features send."""

from backstay.features.access.commands.seeding import (
    ADMIN,
    USER,
    JoinRole,
    LockSuperusers,
    SyncAccess,
    declared_permissions,
)

__all__ = ["ADMIN", "USER", "JoinRole", "LockSuperusers", "SyncAccess", "declared_permissions"]
