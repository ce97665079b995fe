"""Parses addresses, also for counting clients, and normalises origins of web pages."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(text: str) -> Address | None:
    """Parse an address; an IPv4-mapped IPv6 address gives the IPv4 one; None if it is invalid.

    The zone (RFC 4007) is dropped: it only has a meaning on one machine, and a client could choose
    it freely.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def limit_key(address: str) -> str:
    """The key by which an anonymous client is counted: its IPv4 address or IPv6 /64 network."""
    if ":" not in address:
        return address
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed or address)


_DEFAULT_PORTS = {"http://": ":80", "https://": ":443"}


def normal_origin(origin: str) -> str:
    """An origin as browsers write it (RFC 6454, 6.2): in lower case, without a default port."""
    written = origin.lower()
    for scheme, port in _DEFAULT_PORTS.items():
        if written.startswith(scheme):
            return written.removesuffix(port)
    return written
