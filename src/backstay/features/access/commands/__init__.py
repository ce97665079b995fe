"""Commands that change roles, grants and memberships."""
