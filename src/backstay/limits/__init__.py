"""How many requests are let through in a period: what they are counted as, and where."""
