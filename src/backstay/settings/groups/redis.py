"""The settings of Redis and of the jobs' broker, and the form of a Redis address in other code."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from backstay.settings.errors import SettingError
from backstay.settings.fields import Port, Setting, SettingsGroup, rooted

IN_PROCESS = "memory://"
PARTS = ("host", "port", "db", "username", "password")
DEFAULT_PORT, SENTINEL_PORT = 6379, 26379
CA_CERTS = "ssl_ca_certs"
_HINT = (
    "Write redis://user:password@host:6379/0 (special characters percent-encoded), rediss:// for "
    f"TLS, or {IN_PROCESS} for none; or give the parts instead, such as REDIS_HOST. Several hosts, "
    "separated by commas: redis+sentinel://host,host/name-of-the-master/0 or "
    "redis+cluster://host,host."
)
_SCHEME = re.compile(r"redis(s?)(?:\+(sentinel|cluster))?")

Node = tuple[str, int]
"""A host and a port."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of a Redis server and its credentials; ``ca_certs`` is a file of CAs, for TLS.

    With ``nodes``, the client asks one of them for the server. They are Sentinels, which know it by
    the name ``service``, or nodes of a Cluster. ``host`` and ``port`` are then those of the first.
    """

    host: str
    port: int = DEFAULT_PORT
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_certs: str | None = None
    nodes: tuple[Node, ...] = ()
    service: str = ""

    @property
    def is_cluster(self) -> bool:
        """Whether it is a Cluster, whose nodes share the keys."""
        return bool(self.nodes) and not self.service

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        if self.nodes:
            scheme += "+sentinel" if self.service else "+cluster"
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in self.nodes or ((self.host, self.port),)
        )
        return f"{scheme}://{hosts}/{f'{self.service}/' if self.service else ''}{self.db}"


class RedisUrl(SecretStr):
    """A Redis URL that, when printed, hides its password and nothing else."""

    @property
    def address(self) -> RedisAddress | None:
        """The parts of the URL; None if everything stays in process.

        Raises:
            ValueError: it is not a Redis URL.
        """
        text = self.get_secret_value()
        if text == IN_PROCESS:
            return None
        parts, query = urlsplit(text), parse_qs(urlsplit(text).query)
        scheme = _SCHEME.fullmatch(parts.scheme)
        if (
            scheme is None
            or parts.fragment
            or not query.keys() <= ({CA_CERTS} if scheme[1] else set())
            or re.search(r"\s", text)
        ):
            raise ValueError("not a Redis URL")
        service, db = _path(parts.path, scheme[2])
        hosts = parts.netloc.rpartition("@")[2].split(",")
        nodes = tuple(_node(each, SENTINEL_PORT if service else DEFAULT_PORT) for each in hosts)
        if len(nodes) > 1 and not scheme[2]:
            raise ValueError("a server has one host")
        return RedisAddress(
            *nodes[0],
            db=db,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=bool(scheme[1]),
            ca_certs=query[CA_CERTS][0] if query else None,
            nodes=nodes if scheme[2] else (),
            service=service,
        )

    def _display(self) -> str:
        try:
            has_password = bool(self.address and self.address.password)
        except ValueError:
            return "********"
        parts = urlsplit(self.get_secret_value())
        account, _, host = parts.netloc.rpartition("@")
        hidden = f"{account.partition(':')[0]}:***@{host}"
        return parts._replace(netloc=hidden).geturl() if has_password else self.get_secret_value()


def _path(path: str, kind: str | None) -> tuple[str, int]:
    """The name of the service, which only Sentinel URLs have, and the number of the database."""
    service, db = "", path.removeprefix("/")
    if kind == "sentinel":
        service, _, db = db.partition("/")
    most = "0" if kind == "cluster" else "[0-9]{1,5}"
    if bool(service) != (kind == "sentinel") or not re.fullmatch(most, db or "0"):
        raise ValueError("not a database")
    return unquote(service), int(db or "0")


def _node(text: str, default_port: int) -> Node:
    parts = urlsplit(f"//{text}")
    if parts.port == 0:
        raise ValueError("not a port")
    return parts.hostname or "localhost", parts.port or default_port


def _sound(url: RedisUrl, root: Path | None) -> RedisUrl:
    """Accept only what can be read; a relative path of authorities starts at ``root``, if any."""
    try:
        address = url.address
    except ValueError:
        raise SettingError("is not a Redis URL", _HINT) from None
    if root is None or address is None or not address.ca_certs:
        return url
    query = urlencode({CA_CERTS: rooted(address.ca_certs, root)}, safe="/")
    return RedisUrl(urlsplit(url.get_secret_value())._replace(query=query).geturl())


def _composed(parts: Mapping[str, Any]) -> RedisUrl:
    name, password = parts["host"] or "localhost", parts["password"]
    host = f"[{name}]" if ":" in name else name
    account = quote(parts["username"] or "", safe="")
    if password:
        account += f":{quote(password.get_secret_value(), safe='')}"
    at = f"{account}@" if account else ""
    url = RedisUrl(f"redis://{at}{host}:{parts['port'] or DEFAULT_PORT}/{parts['db'] or 0}")
    with suppress(ValueError):
        if url.address and url.address.host == name.lower():
            return url
    raise SettingError("is not a host", "Write a name or an address, without a port.", "REDIS_HOST")


class RedisSettings(SettingsGroup, title="Redis"):
    """Redis, Valkey or Dragonfly: what processes share. Without it each keeps its own."""

    env_prefix: ClassVar = "REDIS_"

    host: Annotated[str | None, Setting(default="localhost")] = Field(None, description="Host.")
    port: Annotated[Port | None, Setting(default="6379")] = Field(None, description="Port.")
    db: Annotated[int | None, Field(ge=0, le=99_999), Setting(default="0", kind="whole number")] = (
        Field(None, description="Number of the database.")
    )
    username: str | None = Field(None, description="User to sign in as.")
    password: SecretStr | None = Field(None, description="That user's password, as it is.")
    url: Annotated[RedisUrl, Setting(parts=PARTS, default=IN_PROCESS, kind="Redis URL")] = Field(
        RedisUrl(""),
        description="Address of the server; stronger than the parts above. `redis://`, `rediss://` "
        f"(TLS; `?{CA_CERTS}=FILE` names further authorities), `redis+sentinel://host,host/name`, "
        f"`redis+cluster://host,host`; `{IN_PROCESS}`: everything stays in process.",
    )
    cache_url: Annotated[RedisUrl | None, Setting(kind="Redis URL")] = Field(
        None, description="Another server for the cache; else that of `REDIS_URL`."
    )
    rate_limit_url: Annotated[RedisUrl | None, Setting(kind="Redis URL")] = Field(
        None, description="Another server for rate limits; else that of `REDIS_URL`."
    )

    @field_validator("url")
    @classmethod
    def _sound_or_composed(cls, url: RedisUrl, info: ValidationInfo) -> RedisUrl:
        parts = info.data
        if not url and any(parts.get(part) is not None for part in PARTS):
            return _composed(parts) if all(part in parts for part in PARTS) else url
        return _sound(url, info.context) if url else RedisUrl(IN_PROCESS)

    @field_validator("cache_url", "rate_limit_url")
    @classmethod
    def _is_sound(cls, url: RedisUrl | None, info: ValidationInfo) -> RedisUrl | None:
        return url and _sound(url, info.context)

    @property
    def address(self) -> RedisAddress | None:
        """The Redis through which processes tell each other of changes; None without Redis."""
        return self.url.address or self.cache_address

    @property
    def cache_address(self) -> RedisAddress | None:
        """The Redis of the cache; None if the cache stays in process."""
        return (self.cache_url or self.url).address

    @property
    def rate_limit_address(self) -> RedisAddress | None:
        """The Redis that counts requests; None if each process counts its own."""
        return (self.rate_limit_url or self.url).address


_BROKERS = ("redis", "rediss", "amqp", "amqps", "nats", "tls")


def _broker(url: SecretStr) -> SecretStr:
    hint = (
        "Write redis://user:password@host:6379/0, amqp://user:password@host:5672/ or "
        "nats://host:4222; with TLS rediss://, amqps:// or tls://. Without it jobs are polled for."
    )
    try:
        parts = urlsplit(url.get_secret_value())
        sound = parts.scheme in _BROKERS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise SettingError("is not the URL of a broker that is supported", hint)
    return url


class QueueSettings(SettingsGroup, title="Queue"):
    """What tells workers that a job was stored, besides the database."""

    env_prefix: ClassVar = "QUEUE_"

    url: Annotated[SecretStr, AfterValidator(_broker)] | None = Field(
        None,
        description="Broker over which workers are told of new jobs: `redis://`, `amqp://` "
        "(RabbitMQ) or `nats://`. It carries ids only; the jobs are in the database, where workers "
        "find them without it, too.",
    )
