"""The HTTP edge: turns requests into messages and results into responses."""
