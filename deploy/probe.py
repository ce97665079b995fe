"""Asks a server or worker of this machine whether it lives: `probe.py [path] [port]`; 0 is yes.

`/livez` does no I/O: a database that is away must not have healthy servers restarted. `/readyz`
says whether requests can be served.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException


def status(path: str, port: int) -> int:
    """The status of the answer; 0 if there is none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


if __name__ == "__main__":
    given = sys.argv[1:]
    port = int(given[1] if given[1:] else os.environ.get("SERVER_PORT", "8000"))
    sys.exit(status(given[0] if given else "/livez", port) != 200)
