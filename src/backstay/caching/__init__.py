"""The cache of query answers: its pipeline steps, and its adapters in process and on Redis."""
