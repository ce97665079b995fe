"""What can go wrong with a command to Redis; who uses Redis knows these, and no library."""


class RedisFault(Exception):
    """Redis did not do what it was asked."""


class RedisUnavailable(RedisFault):
    """Redis cannot be reached, or does not serve; further commands fail at once for a while."""


class RedisRefused(RedisFault):
    """Redis answers this one command with an error."""
