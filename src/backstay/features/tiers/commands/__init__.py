"""Commands that change tiers, their rate limits and who is in them."""
