"""Runs the application in processes: a supervisor, the parent it watches over, and its workers.

None of these modules imports more than its own process needs; only a worker loads the application.
"""
