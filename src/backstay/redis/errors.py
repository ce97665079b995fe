"""The errors of Redis commands, so that callers need not import the client library's own."""


class RedisFault(Exception):
    """Redis did not execute a command.

    Unless it is :class:`RedisRefused`, Redis cannot be reached or cannot serve: further commands
    fail at once until it is back.
    """


class RedisRefused(RedisFault):
    """Redis answered this one command with an error."""
