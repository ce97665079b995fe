"""Measures the request path against a bare ASGI application on the raw driver, in the same run."""
