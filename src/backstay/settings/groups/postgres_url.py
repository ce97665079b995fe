"""Converts a PostgreSQL URL as libpq accepts it into the form that all other code uses.

That form is SQLAlchemy's: a single host stands before the name of the database; sockets and several
hosts stand in the query, each with its port.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url

from backstay.settings.errors import SettingError
from backstay.settings.groups.postgres_parameters import ADDRESS, kept

DEFAULT_PORT = 5432
_PARTS = re.compile(
    r"(\w[\w+]*://(?:[^:/?@\[]*(?::(?![0-9]{1,5}[/?,])[^@]*)?@)?)([^/?]*)(.*)", re.DOTALL
)
"""User and password stand before an ``@``.

If the part after the first colon begins with a port, it is no password but belongs to a host.
"""
_PLACE = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", re.ASCII)

_NO_URL = "not a URL"
"""Never shown: `DbSettings` replaces it with its own message."""

Place = tuple[str, int | None]
"""A host, or the folder of a socket, and a port."""


def read(text: str, root: Path | None = None) -> URL:
    """Read a URL; relative paths in its parameters start at ``root``, if there is one.

    Raises:
        SettingError: a part cannot be used.
        ValueError: it is not a URL.
    """
    match = _PARTS.fullmatch(text)
    if match is None or "@" in match[2] + match[3] or "#" in match[2] + match[3]:
        raise ValueError(_NO_URL)
    url = make_url(match[1] + match[3])
    query = {name: _once(name, value) for name, value in url.query.items()}
    address = {name: query.pop(name) for name in ADDRESS if query.get(name)}
    url = url.set(
        username=address.get("user"),
        password=address.get("password"),
        database=address.get("dbname"),
        query=kept(
            {name: value for name, value in query.items() if name not in ADDRESS},
            has_password="password" in address,
            root=root,
        ),
    )
    return at(url, _places(address.get("host", match[2]), address.get("port", "")))


def at(url: URL, places: Sequence[Place]) -> URL:
    """The URL of the same database at other places."""
    url = url._replace(host=None, port=None).difference_update_query(["host", "port"])
    if len(places) == 1 and not places[0][0].startswith("/"):
        host, port = places[0]
        return url.set(host=host or None, port=port)
    hosts = ",".join(host for host, _ in places)
    ports = ",".join(str(port or DEFAULT_PORT) for _, port in places)
    return url.update_query_dict({"host": hosts, "port": ports})


def hosts(text: str) -> list[str]:
    """The hosts of a comma-separated list without ports; raises ValueError if one is not a host."""
    found = text.split(",")
    for host in found:
        if not _is_host(host):
            raise ValueError("not a host")
    return found


def _places(text: str, ports: str) -> list[Place]:
    """The places of comma-separated hosts.

    Each host may have its port after it. Otherwise ``ports`` holds one port for all hosts, or one
    for each.
    """
    places = [_place(part) for part in text.split(",")]
    if len(places) > 1 and not all(host for host, _ in places):
        raise ValueError(_NO_URL)
    if not ports:
        return places
    numbers = [_port(number) for number in ports.split(",")]
    if len(numbers) == 1:
        numbers *= len(places)
    if len(numbers) != len(places):
        raise SettingError(
            "has another number of ports than of hosts", "Write one port for each host."
        )
    return [(host, own or port) for (host, own), port in zip(places, numbers, strict=True)]


def _place(text: str) -> Place:
    text = unquote(text)
    if text.startswith("/"):
        folder, _, port = text.rpartition(":")
        return (folder, _port(port)) if folder and port.isdecimal() else (text, None)
    if text.count(":") > 1 and not text.startswith("["):
        host, port = text, ""  # an IPv6 address without brackets, as in the query
    elif match := _PLACE.fullmatch(text):
        host, port = match[1].removeprefix("[").removesuffix("]"), match[2]
    else:
        raise ValueError(_NO_URL)
    if host and not _is_host(host):
        raise ValueError(_NO_URL)
    return host, _port(port) if port else None


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:
        raise ValueError(_NO_URL)
    return int(text)


def _is_host(text: str) -> bool:
    if text.startswith("/"):
        return not re.search(r"[\0,]", text)
    if ":" not in text:
        return bool(_NAME.fullmatch(text))
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _once(name: str, value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return value
    if name == "host":
        return ",".join(value)
    raise SettingError("has a parameter more than once", "Write each parameter once.")


def at_host(url: URL, variable: str, host: str, port: int | None) -> URL:
    """The URL with the hosts that a variable names, with commas.

    Raises:
        SettingError: one is no host.
    """
    try:
        return at(url, [(each, port) for each in hosts(host)])
    except ValueError:
        raise SettingError(
            "is not a host",
            "Write a name, an address or the folder of a socket; the port is a setting of its own.",
            variable=variable,
        ) from None
