"""Translates the URL of a PostgreSQL database into the arguments that its driver takes."""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL, make_url

_OF_THE_DSN = (
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
)
"""Parameters that asyncpg accepts only in a URL."""


def postgres_arguments(text: str, application: str, seconds: float) -> dict[str, Any]:
    """The arguments of `asyncpg.connect` for a database URL.

    ``application`` and ``seconds`` (the connect timeout) are defaults; the URL may override them.
    """
    url = make_url(text)
    query: dict[str, Any] = dict(url.query)
    session = {"application_name": query.pop("application_name", application)}
    if "options" in query:
        session["options"] = query.pop("options")
    timeout = float(query.pop("connect_timeout", seconds))
    dsn = {name: query.pop(name) for name in _OF_THE_DSN if name in query}
    url = url.set(query=query)
    _, found = url.get_dialect()().create_connect_args(url)
    if dsn.get("sslrootcert") == "system":
        del dsn["sslrootcert"]
        found["ssl"] = True  # verify-full, with the certificate authorities of this system
    if dsn:
        found["dsn"] = f"postgresql://?{urlencode(dsn)}"
    return {**found, "server_settings": session, "timeout": timeout}


def without_parameters(text: str) -> URL:
    """The URL without its query, which `postgres_arguments` has read."""
    return make_url(text).set(query={})


def shown(text: str) -> str:
    """A URL with its passwords hidden."""
    url = make_url(text)
    hidden = {name: "hidden" for name in url.query if "pass" in name}
    return repr(url.update_query_dict(hidden))


def place(text: str) -> str:
    """The host of a URL, or ``this machine``."""
    url = make_url(text)
    return url.host or str(url.query.get("host", "this machine"))
