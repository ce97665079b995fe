"""Determines the client's address of a request, also behind trusted proxies."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from backstay.core.addresses import Address, Network, parse_address

_KEY = "backstay.client_address"
_NODE = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
"""An address as proxies write it, with or without a port (RFC 7239, 6)."""


class ClientAddress:
    """Determines the client's address.

    It is the address of the socket's peer. If that peer is a trusted proxy, it is instead the
    rightmost entry of ``X-Forwarded-For`` that is not a trusted proxy, without its port.

    If that entry is not an address, the header is ignored and the proxy's address is used. All
    clients that hide their address behind one proxy therefore share one rate limit, and no client
    can choose the address it is counted under.
    """

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def __call__(self, scope: Scope) -> str:
        """The address; computed once per request."""
        found: str | None = scope.get(_KEY)
        if found is None:
            found = scope[_KEY] = self._find(scope)
        return found

    def _find(self, scope: Scope) -> str:
        client = scope.get("client")
        peer = str(client[0]).partition("%")[0] if client else ""
        if not self._trusted or not self._is_trusted(parse_address(peer)):
            return peer
        return self._forwarded(scope) or peer

    def _forwarded(self, scope: Scope) -> str | None:
        values = [v for name, v in scope["headers"] if name == b"x-forwarded-for"]
        entries = [e.strip() for e in b",".join(values).decode("latin-1").split(",")]
        for entry in reversed(entries):
            node = _NODE.fullmatch(entry)
            address = parse_address(node["v6"] or node["v4"] if node else entry)
            if not self._is_trusted(address):
                return None if address is None else str(address)
        return None

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)
