"""Backups: made, proven by a restore into a scratch database, rotated, and restored.

Only `making`, which the worker loads when a backup is due, and the commands of the command line
load the rest of this package; a server loads `table` alone.
"""
