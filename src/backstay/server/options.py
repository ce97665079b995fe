"""What the parent of a server has to know; it gets that as an argument and reads no settings."""

import json
import sys
from typing import NamedTuple


class Options(NamedTuple):
    """How to serve. Times are seconds."""

    type: str
    host: str
    port: int
    workers: int
    threads: int
    timeout: int
    graceful_timeout: int
    reload: bool
    supervisor: int
    """The id of the process that starts it and that it does not outlive."""

    def command(self) -> list[str]:
        """What serves so."""
        told = json.dumps(self._asdict())
        return [sys.executable, "-m", "backstay.server.parent", told]


def options_from(told: str) -> Options:
    """The options that a command tells."""
    return Options(**json.loads(told))
