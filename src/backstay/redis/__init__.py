"""The Redis client that caching, limits, principals and jobs share."""
