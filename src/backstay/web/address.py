"""Whose address a request came from, when proxies stand in between."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

Network = IPv4Network | IPv6Network


class ClientAddress:
    """Finds the client's address.

    It is the socket peer, unless the peer is a trusted proxy: then the first address of
    ``X-Forwarded-For``, from the right, that is not trusted itself. A malformed header counts
    as absent, so that nobody can choose an address.
    """

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def __call__(self, scope: Scope) -> str:
        client = scope.get("client")
        peer = str(client[0]) if client else ""
        if not self._trusted or not self._is_trusted(peer):
            return peer
        return self._forwarded(scope) or peer

    def _forwarded(self, scope: Scope) -> str | None:
        values = [v for name, v in scope["headers"] if name == b"x-forwarded-for"]
        entries = [e.strip() for e in b",".join(values).decode("latin-1").split(",")]
        for entry in reversed(entries):
            address = _parse(entry)
            if address is None:
                return None
            if not self._is_trusted(address):
                return address
        return None

    def _is_trusted(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(
            ip_address(parsed) in network
            for network in self._trusted
            if network.version == ip_address(parsed).version
        )


def _parse(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def limit_key(address: str) -> str:
    """What an anonymous client is counted by: its IPv4 address or its IPv6 /64 network."""
    if ":" not in address:
        return address
    parsed = _parse(address.partition("%")[0])
    if parsed is None or ":" not in parsed:
        return parsed or address
    return str(ip_network(f"{parsed}/64", strict=False))
