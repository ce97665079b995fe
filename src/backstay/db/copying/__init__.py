"""Copies a database into another one, of the same kind or of the other, and compares the two.

Only the command `db copy` imports it.
"""
