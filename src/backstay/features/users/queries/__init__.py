"""Queries about users."""
