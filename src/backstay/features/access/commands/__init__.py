"""What is done to roles, grants and memberships; here, what other features send."""

from backstay.features.access.commands.seeding import (
    ADMIN,
    USER,
    JoinRole,
    LockSuperusers,
    SyncAccess,
    declared_permissions,
)

__all__ = ["ADMIN", "USER", "JoinRole", "LockSuperusers", "SyncAccess", "declared_permissions"]
