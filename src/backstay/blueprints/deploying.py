"""The blueprint of the deploy files: what `backstay new` and `backstay deploy init` write."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from backstay.blueprints import budget
from backstay.blueprints.budget import Budget
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.records import Record
from backstay.blueprints.rendering import TEMPLATES, render
from backstay.settings import Settings
from backstay.settings.groups.db import DbSettings
from backstay.settings.groups.server import ServerSettings

KIND = "deploy"
PLATFORM = "backstay"
"""The name under which the package itself is deployed, without a project."""
SIZES = {
    "processes": "SERVER_WORKERS",
    "connections": "DB_MAX_CONNECTIONS",
    "port": "SERVER_PORT",
    "drain": "SERVER_DRAIN_SECONDS",
    "grace": "SERVER_GRACEFUL_TIMEOUT",
    "body": "SERVER_MAX_BODY_BYTES",
}
"""The setting that decides an option, by the option."""
_ENDING = ".jinja"
_HIDDEN = {"deploy/gitignore": "deploy/.gitignore", "deploy/env.example": "deploy/.env.example"}
"""Under their own names, git and build tools would obey them here."""
_NAME = "__name__"
"""Stands for the project in the paths of templates."""
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?"
)
_MOST = 1000
_APART = 100
"""Ports between the first server and the first worker of a machine."""
_SECRETS = (
    *("secret_key", "refresh_token_secret", "admin_password", "metrics_token", "db_password"),
    *("postgres_password", "replication_password", "redis_password", "rabbitmq_password"),
    *(
        "rabbitmq_url",
        "nats_password",
        "nats_url",
        "alert_mail_password",
        "grafana_password",
        "pgadmin_password",
    ),
)
"""The files that `prepare.sh` makes."""
_PROBLEMS = (
    ("bad_request", 400, "bad_request", "The request cannot be read."),
    ("not_found", 404, "not_found", "There is no such path."),
    ("slow", 408, "request_timeout", "The request arrived too slowly."),
    ("too_large", 413, "too_large", "The body is too large."),
    ("too_many", 429, "rate_limited", "Too many requests at once from this address."),
    ("failed", 500, "internal_error", "The proxy has failed."),
    ("unavailable", 502, "bad_gateway", "No server can be reached."),
    ("timeout", 504, "gateway_timeout", "The server did not answer in time."),
)
"""What nginx answers by itself: location, status, code and detail."""


def _default(group: type[Any], name: str) -> Any:
    return group.model_fields[name].default


_of_server, _of_db = partial(_default, ServerSettings), partial(_default, DbSettings)


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """How an application is deployed.

    Attributes:
        name: the name of the project's package.
        domain: under which it is reached, as in ``api.example.com``.
        servers: how many servers there are, each on a machine or in a container of its own.
        workers: how many `backstay worker` run.
        processes: `SERVER_WORKERS`, of each server.
        connections: `DB_MAX_CONNECTIONS`, of each process.
        port: `SERVER_PORT`.
        drain: `SERVER_DRAIN_SECONDS`.
        grace: `SERVER_GRACEFUL_TIMEOUT`.
        body: `SERVER_MAX_BODY_BYTES`.
        uploads: path and bytes of the routes that take more: ``/api/v1/orders/{id}/photo``.
    """

    name: str
    domain: str = "api.example.com"
    servers: int = 1
    workers: int = 1
    processes: int = _of_server("workers")
    connections: int = _of_db("max_connections")
    port: int = _of_server("port")
    drain: int = _of_server("drain_seconds")
    grace: int = _of_server("graceful_timeout")
    body: int = _of_server("max_body_bytes")
    uploads: Sequence[tuple[str, int]] = ()

    @property
    def budget(self) -> Budget:
        """What the processes need."""
        names = {field.name for field in fields(Budget)}
        return Budget(**{name: each for name, each in asdict(self).items() if name in names})

    @property
    def record(self) -> Record:
        """What is remembered of the deploy files."""
        return Record(KIND, self.name, asdict(self))


def chosen(settings: Settings) -> dict[str, int]:
    """What settings say of the options.

    Raises:
        BlueprintError: they leave the number of processes to the machine.
    """
    server = settings.server
    if server.workers == "auto":
        raise BlueprintError(
            "SERVER_WORKERS is auto, and the files need the number of the machine they are for: "
            "SERVER_WORKERS=4 backstay deploy init",
            usage=True,
        )
    return {
        "processes": server.workers,
        "connections": settings.db.max_connections,
        "port": server.port,
        "drain": server.drain_seconds,
        "grace": server.graceful_timeout,
        "body": server.max_body_bytes,
    }


def check(options: DeployOptions) -> None:
    """Refuse what cannot be deployed.

    Raises:
        BlueprintError: it has every reason.
    """
    problems = []
    if not _DOMAIN.fullmatch(options.domain):
        problems.append(
            f"--domain: {options.domain!r} is no name of a host. Write one such as api.example.com"
        )
    for name in ("servers", "workers"):
        if not 1 <= (number := getattr(options, name)) <= _MOST:
            problems.append(f"--{name}: {number} is not between 1 and {_MOST}.")
    if problems:
        raise BlueprintError(*problems, usage=True)


def render_deploy(options: DeployOptions) -> Mapping[str, str]:
    """The text of every deploy file, by path.

    What ends in ``.jinja`` is a template, everything else is copied.
    """
    values = asdict(options) | {
        "title": options.name.replace("_", " ").strip().capitalize(),
        "slug": options.name.replace("_", "-").strip("-"),
        "prefix": options.name.upper(),
        "platform": options.name == PLATFORM,
        "budget": options.budget,
        "host": replace(
            options.budget,
            **{name: max(2, getattr(options, name)) for name in ("servers", "workers")},
        ),
        "constants": {name: each for name, each in vars(budget).items() if name.isupper()},
        "ports": [options.port + number for number in range(1, max(options.servers, 2) + 1)],
        "worker_ports": [
            options.port + _APART + number for number in range(1, options.workers + 1)
        ],
        "secrets": _SECRETS,
        "problems": [
            (name, each, HTTPStatus(each).phrase, *told) for name, each, *told in _PROBLEMS
        ],
        "uploads": [(_pattern(path), size) for path, size in options.uploads],
    }
    return dict(sorted(_rendered(TEMPLATES / KIND, values)))


def _pattern(path: str) -> str:
    """The path of a route as a regular expression of nginx."""
    return re.sub(
        r"\\\{\w+(:path)?(?::\w+)?\\\}",
        lambda found: ".+" if found[1] else "[^/]+",
        re.escape(path),
    )


def _rendered(folder: Path, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        source = file.relative_to(TEMPLATES).as_posix()
        path = source.removesuffix(_ENDING).replace(_NAME, values["slug"])
        path = _HIDDEN.get(path, path)
        if source.endswith(_ENDING):
            yield path, render(source.removesuffix(_ENDING), **values)
        else:
            yield path, file.read_text("utf-8")
