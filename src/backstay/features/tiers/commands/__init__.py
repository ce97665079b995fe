"""Commands that change tiers and their rate limits."""
