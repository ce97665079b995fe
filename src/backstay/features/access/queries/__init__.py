"""Queries about roles, grants and memberships."""
