"""The client of Redis, shared by everything that uses it."""
