"""The checks of settings that are allowed, but seldom meant: hints about the edge."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject

_HERE = {"localhost", "127.0.0.1", "::1"}


@check("server.public-url", "APP_PUBLIC_URL")
def public_url(subject: Subject) -> Iterator[Finding]:
    """Whether links in mails lead to the application, encrypted."""
    parts = urlsplit(subject.settings.app.public_url)
    if subject.is_local:
        return
    if parts.hostname in _HERE:
        told = f"APP_PUBLIC_URL is {subject.settings.app.public_url}: links in mails lead nowhere."
        yield error(told, "Set it to the address under which users reach the application.")
    elif parts.scheme != "https":
        told = "APP_PUBLIC_URL is not https: passwords and tokens can be read on the way."
        yield warning(told, "Put TLS in front, and write https://.")
    else:
        yield ok(subject.settings.app.public_url)


@check("server.proxies", "APP_PUBLIC_URL", "SERVER_")
def proxies(subject: Subject) -> Iterator[Finding]:
    """Whether the addresses of clients are believed where a proxy must be in front."""
    server, app = subject.settings.server, subject.settings.app
    if server.trusted_proxies:
        yield ok(f"{len(server.trusted_proxies)} networks are believed")
    elif not subject.is_local and app.public_url.startswith("https:"):
        told = "SERVER_TRUSTED_PROXIES is empty, while something in front must speak TLS: "
        told += "all clients share its address, and so one limit."
        yield warning(told, "Set it to the networks of your proxies, such as 10.0.0.0/8.")


@check("server.hosts", "APP_PUBLIC_URL", "SERVER_")
def hosts(subject: Subject) -> Iterator[Finding]:
    """Whether the application answers under its name, and under no other."""
    trusted = [each for each in subject.settings.server.trusted_hosts if each != "*"]
    name = urlsplit(subject.settings.app.public_url).hostname or ""
    if not trusted:
        if not subject.is_local:
            such = "api.example.com" if name in _HERE else name
            mend = f"Set it to the names that are meant, such as {such}."
            yield warning("SERVER_TRUSTED_HOSTS is empty: any name is answered.", mend)
    elif not subject.is_local and not any(_fits(name, each) for each in trusted):
        told = f"SERVER_TRUSTED_HOSTS lacks {name}, the host of APP_PUBLIC_URL."
        yield error(told, "Add it: requests for that name are refused.")
    else:
        yield ok(", ".join(trusted))


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


@check("server.cors", "APP_")
def cors(subject: Subject) -> Iterator[Finding]:
    """Whether pages that may call the API with credentials are encrypted, and not local ones."""
    if subject.is_local:
        return
    for origin in subject.settings.app.cors_origins:
        parts = urlsplit(origin)
        if parts.hostname in _HERE:
            told = f"APP_CORS_ORIGINS lets {origin} in: any program on a user's machine."
            yield warning(told, "Remove it outside `local`.")
        elif parts.scheme == "http":
            told = f"APP_CORS_ORIGINS lets {origin} in, which anybody on the way can change."
            yield warning(told, "Write https://, or remove it.")


@check("server.limits", "RATE_LIMIT_", "REDIS_", "SERVER_")
def limits(subject: Subject) -> Iterator[Finding]:
    """Whether requests are counted, and by all processes together."""
    settings = subject.settings
    if not settings.rate_limit.enabled:
        if not subject.is_local:
            told = (
                "RATE_LIMIT_ENABLED is false: requests are not counted, nor guesses at passwords."
            )
            yield warning(told, "Set it to true.")
    elif settings.redis.rate_limit_address is not None:
        yield ok("counted on Redis")
    elif settings.server.worker_count > 1:
        told = f"Each of {settings.server.worker_count} processes counts requests by itself."
        yield warning(told, "Set REDIS_URL, or SERVER_WORKERS to 1.")
    elif not subject.is_local:
        mend = "With a second server, set REDIS_URL."
        yield note("Requests are counted in the process.", mend)


@check("server.metrics", "APP_METRICS")
def metrics(subject: Subject) -> Iterator[Finding]:
    """Whether somebody can watch it."""
    app = subject.settings.app
    if subject.is_local:
        return
    if not (app.metrics and app.metrics_token):
        told = "Nobody can read /metrics, so no alert can fire."
        yield warning(told, "Set APP_METRICS_TOKEN, for Prometheus.")
    else:
        yield ok("served to those who have the token")
