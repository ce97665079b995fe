"""Network addresses, and what they are counted by."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address


def parse_address(text: str) -> Address | None:
    """The address of a text, an IPv4 one also where IPv6 wraps it; None when it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def limit_key(address: str) -> str:
    """What an anonymous client is counted by: its IPv4 address or its IPv6 /64 network."""
    if ":" not in address:
        return address
    parsed = parse_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed or address)
