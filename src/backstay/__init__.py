"""Backstay: a FastAPI backend as a package that people upgrade instead of copying."""

__version__ = "0.1.0"
