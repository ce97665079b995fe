"""Origins of web pages, in the one form in which they are compared."""

from urllib.parse import urlsplit

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
