"""What the server says when it starts: where it is, what it uses, how to sign in."""

from typing import TYPE_CHECKING

from backstay.cli.output import print_columns
from backstay.db import sqlite
from backstay.db.address import place
from backstay.settings import Environment, Settings

if TYPE_CHECKING:
    from backstay.features.users.commands.admins import Admin

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def print_banner(settings: Settings, address: tuple[str, int], admin: "Admin | None") -> None:
    """Print it; a made-up password is told here and nowhere else."""
    url = url_of(*address)
    elsewhere = ", and on every other address" if address[0] in _EVERYWHERE else ""
    rows = [("Address", url + elsewhere)]
    if settings.app.swagger and settings.environment is not Environment.PRODUCTION:
        rows.append(("Documentation", f"{url}/docs"))
    rows += [
        ("Environment", settings.environment.value),
        ("Database", _database(settings)),
        ("In this process", ", ".join(_embedded(settings)) or "nothing that could be elsewhere"),
    ]
    if admin is not None and admin.created:
        made_up = admin.generated_password
        rows.append(("Administrator", admin.email))
        rows.append(("Password", f"{made_up} (shown only now)" if made_up else "ADMIN_PASSWORD"))
    print_columns(rows)


def url_of(host: str, port: int) -> str:
    """Where this machine finds what listens at an address."""
    name = _EVERYWHERE.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _embedded(settings: Settings) -> list[str]:
    """What could be on Redis or in a worker, and is not."""
    here = {
        "rate limits": settings.rate_limit.enabled and settings.redis.rate_limit_address is None,
        "cache": settings.cache.ttl_seconds and settings.redis.cache_address is None,
        "jobs": settings.is_local,
    }
    return [name for name, is_here in here.items() if is_here]


def _database(settings: Settings) -> str:
    url = settings.db.url.parsed
    if settings.db.is_sqlite:
        return f"SQLite, {url.database} (version {sqlite.in_use().version_text})"
    return f"PostgreSQL, {url.database} on {place(settings.db.sqlalchemy_url)}"
