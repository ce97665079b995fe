"""Queries about sessions, the devices they began on, and who a request comes from."""
