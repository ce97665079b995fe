"""Which fields hold secrets, by their type or by their name; and texts without them."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

MASKED = Secret, SecretBytes, SecretStr
SECRETS = ("password", "secret", "token", "authorization", "cookie", "api_key")

HIDDEN = "********"
_IN_URL = re.compile(r"(://[^\s:/@]{0,200}:)\S{1,1000}@")
_NAMED = re.compile(
    rf"((?:{'|'.join(SECRETS)}|passwd|passphrase)[\w-]{{0,40}}[\"']?\s{{0,3}}[=:]\s{{0,3}})"
    r"(?:(?:bearer|basic)\s{1,3})?"
    r"(?:\"[^\"]{0,1000}\"?|'[^']{0,1000}'?|[^\s,;&]{1,1000})",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """A text of somebody else, such as an error's, without the passwords of URLs in it and what
    stands behind the name of a secret."""
    return _NAMED.sub(rf"\1{HIDDEN}", _IN_URL.sub(rf"\1{HIDDEN}@", text))


def tells_secret(name: str) -> bool:
    """Whether a value of this name must not be written anywhere."""
    return any(secret in name.lower() for secret in SECRETS)


def masked_fields(model: type[BaseModel]) -> list[str]:
    """The paths of fields whose values pydantic writes as asterisks, nested ones included."""
    return [path for path, is_masked in _secrets(model, set()) if is_masked]


def secret_fields(model: type[BaseModel]) -> list[str]:
    """The paths of those, and of fields whose names tell of a secret."""
    return [path for path, _ in _secrets(model, set())]


def _secrets(model: type[BaseModel], seen: set[Any]) -> Iterator[tuple[str, bool]]:
    seen.add(model)
    for name, info in model.model_fields.items():
        kinds = list(_kinds(info.annotation))
        is_masked = any(issubclass(kind, MASKED) for kind in kinds)
        if is_masked or tells_secret(name):
            yield name, is_masked
        for kind in kinds:
            if issubclass(kind, BaseModel) and kind not in seen:
                yield from ((f"{name}.{path}", masked) for path, masked in _secrets(kind, seen))


def _kinds(annotation: Any) -> Iterator[type[Any]]:
    """Every class that an annotation names, those within aliases and generics included."""
    annotation = getattr(annotation, "__value__", annotation)  # of `type Name = ...`
    named = get_origin(annotation) or annotation
    if isinstance(named, type):
        yield named
    for part in get_args(annotation):
        yield from _kinds(part)
