"""Parses network addresses, also for counting clients, and normalises origins of web pages."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NODE = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
_ZONE = re.compile(r"%[^/]+")
_MAPPED = IPv6Network("::ffff:0:0/96")


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


def parse_node(text: str) -> Address | None:
    """Parse an address as proxies write it, with or without a port (RFC 7239, 6)."""
    node = _NODE.fullmatch(text)
    return parse_address(node["v6"] or node["v4"] if node else text)


def parse_network(text: str) -> Network:
    """Parse a network; an IPv4-mapped IPv6 network gives the IPv4 one, as for addresses.

    Raises:
        ValueError: the text is not a network.
    """
    network = ip_network(_ZONE.sub("", text.removeprefix("[").removesuffix("]")))
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        wrapped = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((wrapped, network.prefixlen - 96))
    return network


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


def origin_of(url: str) -> str:
    """The origin of a URL, as browsers write it."""
    parts = urlsplit(url)
    return normal_origin(f"{parts.scheme}://{parts.netloc}")
