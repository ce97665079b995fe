"""What is done to tiers and rate limits."""
