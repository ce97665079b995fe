"""Runs the application in processes: a supervisor starts a parent, which starts the workers.

Each module imports only what its own process needs; only a worker loads the application.
"""
