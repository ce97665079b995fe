"""Whose address a request came from, when proxies stand in between."""

from collections.abc import Iterable

from starlette.types import Scope

from backstay.core.addresses import Address, Network, parse_address, parse_node

_KEY = "backstay.client_address"


class ClientAddress:
    """Finds the client's address.

    It is the socket peer, unless the peer is a trusted proxy: then the first address of
    ``X-Forwarded-For``, from the right, that is not trusted itself, without its port. Where that
    is no address the header counts as absent: whoever hides theirs shares one limit with all who
    come by that proxy and do so, and nobody can choose an address.
    """

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def __call__(self, scope: Scope) -> str:
        """The address; it is worked out once per request."""
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
            address = parse_node(entry)
            if not self._is_trusted(address):
                return None if address is None else str(address)
        return None

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)
