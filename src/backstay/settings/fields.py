"""What groups of settings are declared with: their base class, marks of fields, types of values."""

import json
import re
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretBytes,
    SecretStr,
)
from pydantic_core import core_schema

from backstay.core.addresses import Network, normal_origin
from backstay.core.rates import UNITS, Rate
from backstay.settings.errors import SettingError

MASK = "********"
_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*:)[^/\s]+@")

_EVERYTHING = ("0.0.0.0/0", "::/0")
_ZONE = re.compile(r"%[^/]+")
_MAPPED = IPv6Network("::ffff:0:0/96")
_RATE = re.compile(r"\s*([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)\s*", re.ASCII)
_HOST = r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])"
_ORIGIN = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://{_HOST}(?::[0-9]{{1,5}})?", re.ASCII)
_ALLOWED_HOST = re.compile(rf"\*|(?:\*\.)?{_HOST}", re.ASCII)


@dataclass(frozen=True)
class Setting:
    """Adds to a field what its type, default and description do not say.

    If several marks of one field set the same attribute, the outermost one counts.
    """

    kind: str | None = None
    """The type in words."""
    also: str | None = None
    """Another variable that is read if the setting's own one is not set."""
    default: str | None = None
    """The default in words, if it is derived from other settings."""
    in_local: object = None
    """The default if ENVIRONMENT is `local`."""
    parts: tuple[str, ...] | None = None
    """The fields from which the value is built if it is not set itself."""
    may_be_empty: bool | None = None
    """Whether an empty value counts as a value; for other settings it counts as not set."""
    at_most: int | None = None
    """The largest value of a number: an absurd duration would only fail later."""
    path: bool | None = None
    """Whether the value is a path, which starts at the project's root if it is relative.

    A field of type `Path` needs no mark.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema, most = handler(source), self.at_most
        if most is None:
            return schema

        def check(value: float) -> float:
            if value > most:
                raise SettingError(f"is above {most}", f"Set it to {most} at most.")
            return value

        return core_schema.no_info_after_validator_function(check, schema)


class SettingsGroup(BaseModel):
    """A group of settings, whose variables share a prefix, such as ``env_prefix = "SHOP_"``."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    env_prefix: ClassVar[str] = ""
    others_read_it: ClassVar[bool] = False
    """Whether libraries read further variables of this prefix, so that none causes a warning."""


def parse_rate(text: str) -> Rate:
    """Read `N/second`, `N/minute`, `N/hour` or `N/day`; raises ValueError for anything else."""
    if not (match := _RATE.fullmatch(text)):
        raise SettingError("is not a rate", "Write a number above 0 and a unit, such as 5/minute.")
    return Rate(int(match[1]), UNITS[match[2]])


def rooted(path: Any, root: Path | None) -> Any:
    """A path, joined to the project's root if it is relative; as it is without a root.

    Reading settings in the root itself passes no root, so that paths are shown as written.
    """
    if root is None or not path or not isinstance(path, str | Path):
        return path
    return type(path)(root / path)


def shown(value: object) -> str:
    """Write a value as in a setting, with secrets masked, and passwords in URLs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set | frozenset):
        texts = map(shown, value)
        return ", ".join(sorted(texts) if isinstance(value, set | frozenset) else texts)
    if isinstance(value, dict | BaseModel):
        entries = {shown(name): entry for name, entry in dict(value).items()}
        return json.dumps(entries, default=shown, ensure_ascii=False)
    if type(value) in {SecretStr, SecretBytes}:
        return MASK if value else ""
    text = str(value.value if isinstance(value, Enum) else value)
    return _PASSWORD.sub(r"\1***@", text) if "://" in text else text


def entries_of(value: str) -> tuple[object, ...]:
    """Read a list in JSON or with commas; raises ValueError if the JSON is broken."""
    text = value.strip()
    if not text.startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    entries = _json(text)
    if not isinstance(entries, list):
        raise SettingError(
            "begins like a JSON list but is not one",
            'Write ["one", "two"], or one,two without brackets.',
        )
    return tuple(entries)


def object_of(value: str) -> dict[str, object]:
    """Read an object in JSON; raises ValueError if it is none."""
    found = _json(value)
    if not isinstance(found, dict):
        raise SettingError("is not a JSON object", 'Write one, such as {"name": "value"}.')
    return found


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def split(value: str) -> tuple[str, ...]:
    """Read a list of texts in JSON or with commas; raises ValueError if the JSON is broken."""
    try:
        entries = entries_of(value)
    except SettingError:
        entries = (None,)
    texts = tuple(entry for entry in entries if isinstance(entry, str))
    if len(texts) < len(entries):
        raise SettingError(
            "begins like a JSON list but is not a JSON list of texts",
            'Write ["one", "two"], or one,two without brackets.',
        )
    return texts


def _texts(value: object) -> object:
    return split(value) if isinstance(value, str) else value


def _network(text: str) -> Network:
    """A network; an IPv4-mapped IPv6 network gives the IPv4 one, as for addresses."""
    network = ip_network(_ZONE.sub("", text.removeprefix("[").removesuffix("]")))
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        wrapped = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((wrapped, network.prefixlen - 96))
    return network


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    networks: list[Network] = []
    for entry in split(value):
        try:
            networks += map(_network, _EVERYTHING if entry == "*" else (entry,))
        except ValueError as error:
            raise SettingError(
                f"holds something that is no network: {error}",
                "List networks such as 10.0.0.0/8, or single addresses such as 192.0.2.7.",
            ) from None
    return tuple(networks)


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in origins:
        raise SettingError(
            "allows every origin (*), while credentials are allowed too",
            "List each origin that may call the API, such as https://app.example.com.",
        )
    trimmed = tuple(origin.removesuffix("/") for origin in origins)
    for origin in trimmed:
        if not _ORIGIN.fullmatch(origin):
            raise SettingError(
                f"holds {origin!r}, which is no origin",
                "Write scheme, host and port only, such as https://app.example.com: "
                "no path, no wildcard, no pattern.",
            )
    return tuple(dict.fromkeys(map(normal_origin, trimmed)))


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _ALLOWED_HOST.fullmatch(host):
            raise SettingError(
                f"holds {host!r}, which is no host name",
                "Write names such as api.example.com or *.example.com, without scheme and port.",
            )
    return hosts


def web_address(value: str) -> str:
    """Check that a text is an http(s) address; return it without a trailing slash."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"[?#@\s]", value):
        raise SettingError(
            "is not a web address",
            "Write scheme and host, such as https://api.example.com: no user, query or fragment.",
        )
    return value.rstrip("/")


def _rate(value: object) -> object:
    return parse_rate(value) if isinstance(value, str) else value


def _strict(rate: Rate) -> Rate:
    return replace(rate, strict=True)


_LIST = "list (JSON or commas)"

Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), Setting(kind=_LIST, may_be_empty=True)]
SecretTexts = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_texts), Setting(kind=_LIST, may_be_empty=True)
]
Networks = Annotated[
    tuple[Network, ...],
    BeforeValidator(_networks),
    Setting(kind="list of networks", may_be_empty=True),
]
Origins = Annotated[Texts, AfterValidator(_origins), Setting(kind="list of origins")]
Hosts = Annotated[Texts, AfterValidator(_hosts), Setting(kind="list of hosts")]
StrictRate = Annotated[
    Rate, BeforeValidator(_rate), AfterValidator(_strict), Setting(kind="rate, such as 5/minute")
]
"""A rate that protects credentials."""

Name = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535), Setting(kind="port (1 to 65535)")]
Count = Annotated[int, Field(ge=1), Setting(kind="whole number above 0")]
Seconds = Annotated[int, Field(ge=1), Setting(kind="whole seconds above 0")]
"""A duration. Each setting adds its own maximum, also to the types below."""
SomeSeconds = Annotated[int, Field(ge=0), Setting(kind="whole seconds")]
WholeDays = Annotated[int, Field(ge=0), Setting(kind="whole days")]
DAY = UNITS["day"]
WEEK, MONTH, YEAR = 7 * DAY, 30 * DAY, 365 * DAY
