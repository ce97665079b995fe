"""The settings of Redis, of the broker of jobs, and the one form Redis has in other code."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from backstay.settings.errors import SettingError
from backstay.settings.group import Group, Setting
from backstay.settings.values import Port

IN_PROCESS = "memory://"
PARTS = ("host", "port", "db", "username", "password")
DEFAULT_PORT = 6379
CA_CERTS = "ssl_ca_certs"
_HINT = (
    "Write redis://user:password@host:6379/0 (special characters percent-encoded), rediss:// for "
    f"TLS, or {IN_PROCESS} for none; or give the parts instead, such as REDIS_HOST."
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a server is and how to sign in; ``ca_certs`` is a file of authorities, for TLS."""

    host: str
    port: int = DEFAULT_PORT
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_certs: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"


class RedisUrl(SecretStr):
    """A Redis URL that hides its password, and nothing else, when printed."""

    @property
    def address(self) -> RedisAddress | None:
        """The URL in parts; None when everything stays in process.

        Raises:
            ValueError: it is no Redis URL.
        """
        text = self.get_secret_value()
        if text == IN_PROCESS:
            return None
        parts, query = urlsplit(text), parse_qs(urlsplit(text).query)
        db = parts.path.removeprefix("/") or "0"
        if (
            parts.scheme not in {"redis", "rediss"}
            or parts.port == 0
            or parts.fragment
            or not re.fullmatch(r"[0-9]{1,5}", db)
            or not query.keys() <= ({CA_CERTS} if parts.scheme == "rediss" else set())
            or re.search(r"\s", text)
        ):
            raise ValueError("not a Redis URL")
        return RedisAddress(
            host=parts.hostname or "localhost",
            port=parts.port or DEFAULT_PORT,
            db=int(db),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "rediss",
            ca_certs=query[CA_CERTS][0] if query else None,
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


def _sound(url: RedisUrl) -> RedisUrl:
    try:
        url.address  # noqa: B018
    except ValueError:
        raise SettingError("is not a Redis URL", _HINT) from None
    return url


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


class RedisSettings(Group, title="Redis"):
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
        f"(TLS; `?{CA_CERTS}=FILE` names further authorities); `{IN_PROCESS}`: everything stays in "
        "process.",
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
        return _sound(url) if url else RedisUrl(IN_PROCESS)

    @field_validator("cache_url", "rate_limit_url")
    @classmethod
    def _is_sound(cls, url: RedisUrl | None) -> RedisUrl | None:
        return url and _sound(url)

    @property
    def address(self) -> RedisAddress | None:
        """Where processes tell one another what changed; None without Redis."""
        return self.url.address or self.cache_address

    @property
    def cache_address(self) -> RedisAddress | None:
        """Where the cache is; None when it stays in process."""
        return (self.cache_url or self.url).address

    @property
    def rate_limit_address(self) -> RedisAddress | None:
        """Where requests are counted; None when each process counts its own."""
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


class QueueSettings(Group, title="Queue"):
    """What tells workers that a job was stored, besides the database."""

    env_prefix: ClassVar = "QUEUE_"

    url: Annotated[SecretStr, AfterValidator(_broker)] | None = Field(
        None,
        description="Broker over which workers are told of new jobs: `redis://`, `amqp://` "
        "(RabbitMQ) or `nats://`. It carries ids only; the jobs are in the database, where workers "
        "find them without it, too.",
    )
