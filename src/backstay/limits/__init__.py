"""Rate limits: which requests count together, and where the counts are kept."""
