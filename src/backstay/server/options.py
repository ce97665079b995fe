"""The options of a server's parent process: it gets them as an argument and reads no settings."""

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
    reload: str | None
    """The folder in which a changed Python file starts the workers anew, if any."""
    supervisor: int
    """The id of the supervisor, which the server does not outlive."""

    def command(self) -> list[str]:
        """The command that starts a server with these options."""
        told = json.dumps(self._asdict())
        return [sys.executable, "-m", "backstay.server.parent", told]


def options_from(told: str) -> Options:
    """The options in a command's argument."""
    return Options(**json.loads(told))
