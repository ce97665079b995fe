"""The settings of the broker that wakes workers."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from backstay.settings.faults import Refused
from backstay.settings.group import Group

SCHEMES = ("redis", "rediss", "amqp", "amqps", "nats", "tls")


def _sound(url: SecretStr) -> SecretStr:
    mend = (
        "Write redis://user:password@host:6379/0, amqp://user:password@host:5672/ or "
        "nats://host:4222; with TLS rediss://, amqps:// or tls://. Without it jobs are polled for."
    )
    try:
        parts = urlsplit(url.get_secret_value())
        sound = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise Refused("is not the URL of a broker that is supported", mend)
    return url


class QueueSettings(Group):
    """What tells workers that a job was stored, besides the database."""

    model_config = SettingsConfigDict(title="Queue", env_prefix="QUEUE_")

    url: Annotated[SecretStr | None, AfterValidator(lambda url: url and _sound(url))] = Field(
        None,
        description="Broker over which workers are told of new jobs: `redis://`, `amqp://` "
        "(RabbitMQ) or `nats://`. It carries ids only; the jobs are in the database, where workers "
        "find them without it, too.",
    )
