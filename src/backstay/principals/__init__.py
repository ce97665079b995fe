"""Principals that are kept in process, and how processes hear that one has changed."""
