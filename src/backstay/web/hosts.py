"""Which host a request is for, and whether that is served here."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from backstay.core.errors import BadRequest

_HOST = re.compile(rb"(?:[\w.~!$&'()*+;=%-]+|\[[\w:.~%-]+\])(?::[0-9]*)?", re.ASCII)
_PORT = re.compile(r":[0-9]*$")


def check_host(scope: Scope, served: Iterable[str]) -> None:
    """Refuse a request that does not name one host (RFC 9112, 3.2), or not one that is served.

    ``served`` are names in lower case, ``*.example.com`` every name below; without any, all are.

    Raises:
        BadRequest: it names none, several, something else, or another one.
    """
    given = [value for name, value in scope["headers"] if name == b"host"]
    if given == [b""]:  # what granian writes for none
        given = []
    if len(given) > 1 or not all(map(_HOST.fullmatch, given)):
        raise BadRequest("Send one Host header, with a name and a port at most.")
    if not given and scope.get("http_version") == "1.1":
        raise BadRequest("Send a Host header.")
    if served:
        name = _PORT.sub("", b"".join(given).decode("latin-1").lower())
        if not any(_serves(each, name) for each in served):
            raise BadRequest("This host name is not served here.")


def _serves(served: str, name: str) -> bool:
    return name.endswith(served[1:]) if served.startswith("*.") else name == served
