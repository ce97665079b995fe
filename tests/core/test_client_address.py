"""Shows that nobody but a trusted proxy says where a request came from."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.addresses import Network, limit_key
from backstay.web.request import client_address
from tests.examples import examples

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def address(peer: str | None, *forwarded: str, trusted: Sequence[Network] = PROXIES) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    scope = {"client": (peer, 4000) if peer else None, "headers": headers}
    return client_address(scope, trusted)


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert address("192.0.2.1", "203.0.113.9", trusted=()) == "192.0.2.1"


def test_an_untrusted_peer_is_the_client_despite_its_header() -> None:
    assert address("192.0.2.1", "203.0.113.9") == "192.0.2.1"


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"])
def test_a_trusted_peer_names_the_client(peer: str) -> None:
    assert address(peer, "203.0.113.9") == "203.0.113.9"


def test_addresses_left_of_the_clients_own_are_ignored() -> None:
    assert address("10.0.0.1", "198.51.100.7, 203.0.113.9") == "203.0.113.9"
    assert address("10.0.0.1", "10.0.0.66, 203.0.113.9, 10.1.2.3") == "203.0.113.9"


def test_repeated_headers_are_one_list() -> None:
    assert address("10.0.0.1", "198.51.100.7", "203.0.113.9, 10.0.0.2") == "203.0.113.9"


@pytest.mark.parametrize(
    "forwarded",
    [
        *("", "unknown", "203.0.113.9, nonsense", "\xff", ",", "_hidden", "203.0.113.9:_port"),
        *("203.0.113.9:", "203.0.113.9:123456", "203.0.113.9:4 4", "[203.0.113.9", "203.0.113.9]"),
        *("[]", "[]:443", "[2001:db8::1]443", "[2001:db8::1]:", "fe80::1%", "203.0.113.9%eth0"),
        *("1.1.1.1, 203.0.113.9:x", "evil.example:443", ":443", "[[2001:db8::1]]:443"),
    ],
)
def test_a_malformed_header_counts_as_absent(forwarded: str) -> None:
    assert address("10.0.0.1", forwarded) == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9:0", "203.0.113.9"),
        ("[203.0.113.9]:4711", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1:443", "2001:db8::1:443"),
        ("[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:443", "fe80::1"),
        (f"fe80::1%{'x' * 500}", "fe80::1"),
        ("::ffff:203.0.113.9%eth0", "203.0.113.9"),
        ("1.1.1.1:5, 203.0.113.9:4711, 10.0.0.9:80, [fd00::7]:443", "203.0.113.9"),
    ],
)
def test_neither_port_nor_bracket_nor_zone_hides_the_client(forwarded: str, client: str) -> None:
    assert address("10.0.0.1", forwarded) == client


def test_the_zone_of_a_peer_address_is_ignored() -> None:
    link_local = [ip_network("fe80::/10")]
    assert address("fe80::1%eth0", "203.0.113.9", trusted=link_local) == "203.0.113.9"
    assert address("fe80::1%eth0", "nonsense", trusted=link_local) == "fe80::1"
    for trusted in (PROXIES, ()):
        assert address("fe80::1%eth0", "203.0.113.9", trusted=trusted) == "fe80::1"


def test_a_chain_of_proxies_alone_leaves_the_peer() -> None:
    assert address("10.0.0.1") == "10.0.0.1"
    assert address("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.1"


def test_a_request_without_a_socket_has_no_address() -> None:
    assert address(None, "203.0.113.9") == ""


def test_a_network_of_the_other_family_trusts_nobody() -> None:
    everybody = [ip_network("::/0")]
    assert address("10.0.0.1", "203.0.113.9", trusted=everybody) == "10.0.0.1"


@examples()
@given(st.lists(st.ip_addresses().map(str), max_size=4))
def test_a_trusted_proxy_is_the_client_only_as_the_peer(forwarded: list[str]) -> None:
    found = address("10.0.0.1", ", ".join(forwarded))
    assert found == "10.0.0.1" or address(found) == found
    assert ip_address(found)


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unix:/run/proxy.sock", "unix:/run/proxy.sock"),
        ("", ""),
    ],
)
def test_an_ipv6_client_is_counted_by_its_network(client: str, key: str) -> None:
    assert limit_key(client) == key
