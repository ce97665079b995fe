"""Shows which networks are trusted as proxies, in each form of notation."""

from ipaddress import ip_network

import pytest

from tests.settings.reading import Read, faulty


@pytest.mark.parametrize(
    "networks", ["10.0.0.0/33", "10.0.0.1/8", "10.0.0", "proxy", "10.0.0.0/8,nonsense", '[""]']
)
def test_an_invalid_network_is_refused_in_local_too(read: Read, networks: str) -> None:
    loaded = read(SERVER_TRUSTED_PROXIES=networks)
    assert faulty(loaded) == ["SERVER_TRUSTED_PROXIES"]


def test_networks_of_both_families_and_single_addresses_are_read(read: Read) -> None:
    settings = read(SERVER_TRUSTED_PROXIES="10.0.0.0/8, ::1, 192.0.2.7").settings
    assert settings is not None
    expected = tuple(map(ip_network, ("10.0.0.0/8", "::1/128", "192.0.2.7/32")))
    assert settings.server.trusted_proxies == expected


def test_proxies_are_normalised_to_the_form_of_client_addresses(
    read: Read, production: dict[str, str]
) -> None:
    settings = read(SERVER_TRUSTED_PROXIES="fe80::1%eth0, ::ffff:10.0.0.0/104, [::1]").settings
    assert settings is not None
    expected = tuple(map(ip_network, ("fe80::1/128", "10.0.0.0/8", "::1/128")))
    assert settings.server.trusted_proxies == expected
    loaded = read(production, SERVER_TRUSTED_PROXIES="::ffff:0:0/96")
    assert faulty(loaded) == ["SERVER_TRUSTED_PROXIES"]


def test_a_star_is_every_network_in_local(read: Read) -> None:
    settings = read(SERVER_TRUSTED_PROXIES="*").settings
    assert settings is not None
    assert settings.server.trusted_proxies == (ip_network("0.0.0.0/0"), ip_network("::/0"))
