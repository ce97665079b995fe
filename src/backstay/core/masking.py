"""Finds fields that hold secrets, by type or name, and removes secrets from texts."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

MASKED = Secret, SecretBytes, SecretStr
SECRETS = ("password", "secret", "token", "authorization", "cookie", "api_key")

HIDDEN = "********"
_IN_URL = re.compile(r"(://[^\s:/@]{0,200}:)\S{1,1000}@")
_COOKIES = re.compile(r"(\bcookie:\s{0,3})[^\s\"'][^\n]{0,4000}", re.IGNORECASE)
_NAMED = re.compile(
    rf"((?:{'|'.join(SECRETS)}|passwd|passphrase|api-?key|private_?key)[\w-]{{0,40}}"
    r"(?:[\"']?\s{0,3}[=:]\s{0,3}|[\"'],\s{0,3}(?=b?[\"'])))"
    r"(?:(?:bearer|basic)\s{1,3})?"
    r"(?:b?\"(?:[^\"\\]|\\.){0,1000}\"?|b?'(?:[^'\\]|\\.){0,1000}'?|[^\s,;&]{1,1000})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bbearer\s{1,3})[\w.~+/=-]{16,4000}", re.IGNORECASE)
_ROW_ENDS = r"\)[^\n()]{0,200}(?:\n|$)"
_ROW = re.compile(
    rf"(DETAIL:\s{{0,3}})[^\n(]{{0,200}}\((?:(?!{_ROW_ENDS})[\s\S]){{0,5000}}(?:\)[^\n()]{{0,200}})?"
)
"""The DETAIL of PostgreSQL's constraint errors: the values of a key, or of the whole row."""
_ARGUMENT = re.compile(r"(invalid input for query argument \$\d{1,5}: )[^\n]{1,4000}")
"""asyncpg's error for a parameter of a wrong type, which repeats its value."""


def without_secrets(text: str) -> str:
    """Hide the secrets in a text from elsewhere, such as the text of an error.

    Hidden are passwords in URLs, values after the name of a secret, and values of rows that a
    database driver repeats.
    """
    text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
    for pattern in (_COOKIES, _NAMED, _BEARER, _ROW, _ARGUMENT):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def tells_secret(name: str) -> bool:
    """Whether a value with this name is a secret, which must not be written anywhere."""
    return any(secret in name.lower() for secret in SECRETS)


def masked(value: Any) -> Any:
    """A JSON value without secrets: neither under keys that name one, nor in its texts."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if tells_secret(str(key)) and each is not None else masked(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [masked(each) for each in value]
    return without_secrets(value) if isinstance(value, str) else value


def masked_fields(model: type[BaseModel]) -> list[str]:
    """The paths of the fields, nested ones included, whose values pydantic prints as asterisks."""
    return [path for path, is_masked in _secrets(model, set()) if is_masked]


def secret_fields(model: type[BaseModel]) -> list[str]:
    """The paths of :func:`masked_fields`, and of fields that have the name of a secret."""
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
    """Every class in an annotation, including those inside aliases and generics."""
    annotation = getattr(annotation, "__value__", annotation)  # of `type Name = ...`
    named = get_origin(annotation) or annotation
    if isinstance(named, type):
        yield named
    for part in get_args(annotation):
        yield from _kinds(part)
