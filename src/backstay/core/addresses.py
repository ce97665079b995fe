"""Network addresses and what they are counted by; origins of web pages as they are compared."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NODE = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
_ZONE = re.compile(r"%[^/]+")
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_address(text: str) -> Address | None:
    """The address of a text, an IPv4 one also where IPv6 wraps it; None when it is none.

    It has no zone (RFC 4007): that names a link of one machine, and whoever writes it can choose.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def parse_node(text: str) -> Address | None:
    """The address of an entry that a proxy writes, with a port or without (RFC 7239, 6)."""
    node = _NODE.fullmatch(text)
    return parse_address(node["v6"] or node["v4"] if node else text)


def parse_network(text: str) -> Network:
    """The network of a text, in the form in which addresses are compared with it.

    Raises:
        ValueError: it is none.
    """
    network = ip_network(_ZONE.sub("", text.removeprefix("[").removesuffix("]")))
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        wrapped = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((wrapped, network.prefixlen - 96))
    return network


def limit_key(address: str) -> str:
    """What an anonymous client is counted by: its IPv4 address or its IPv6 /64 network."""
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
    """The origin of a URL: no path, and as browsers write it."""
    parts = urlsplit(url)
    return normal_origin(f"{parts.scheme}://{parts.netloc}")
