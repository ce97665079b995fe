"""How many requests are let through in a period: counted in process or on Redis."""
