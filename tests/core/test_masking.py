"""Shows which fields count as secrets, at any depth and with any subtype."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr
from typing_extensions import TypeAliasType

from backstay.core.masking import masked_fields, secret_fields, without_secrets


class Pin(SecretStr):
    pass


Key = TypeAliasType("Key", SecretBytes)


class Inner(BaseModel):
    pin: Pin | None
    number: Secret[int]
    keys: dict[str, list[Key]]
    plain: Annotated[list[str], Field(examples=[[]])]


class Outer(BaseModel):
    inner: tuple[Inner, ...]
    again: "Outer | None"
    api_token: str
    title: str


MASKED = ["inner.pin", "inner.number", "inner.keys"]


def test_masked_fields_are_found_by_their_type() -> None:
    assert masked_fields(Outer) == MASKED


def test_secrets_are_found_by_their_name_too() -> None:
    assert secret_fields(Outer) == [*MASKED, "api_token"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("at postgresql://shop:hush@db/x?a=b", "at postgresql://shop:********@db/x?a=b"),
        ("redis://:hu@sh@cache:6379/0 refuses", "redis://:********@cache:6379/0 refuses"),
        ("amqp://a:hush@b, amqp://c:hush@d", "amqp://a:********@b, amqp://c:********@d"),
        ("host=db password=hush user=x", "host=db password=******** user=x"),
        ("password='hu sh' user=x", "password=******** user=x"),
        ('{"refresh_token": "hush", "a": 1}', '{"refresh_token": ********, "a": 1}'),
        ("Authorization: Bearer hush", "Authorization: ********"),
        ("?sslpassword=hush&sslmode=require", "?sslpassword=********&sslmode=require"),
        ("API_KEY = hush", "API_KEY = ********"),
        ('password authentication failed for user "x"', None),
        ("X-API-Key: hush", "X-API-Key: ********"),
        ("apikey=hush&a=b", "apikey=********&a=b"),
        ("private_key='hush'", "private_key=********"),
        ("Bearer hush.hush.hush.hush is refused", "Bearer ******** is refused"),
        ("(b'authorization', b'Bearer hush')", "(b'authorization', ********)"),
        ("('password', 'hush')", "('password', ********)"),
        ('{"password": "a\\"hush", "b": 1}', '{"password": ********, "b": 1}'),
        ("password=b'a hush' x", "password=******** x"),
        ("Cookie: a=hush; b=hush\nHost: c", "Cookie: ********\nHost: c"),
        ("DETAIL:  Key (token_hash)=(hush) already exists.", "DETAIL:  ********"),
        ("DETAIL:  Failing row contains (1, hush, a\nhush).", "DETAIL:  ********"),
        ("DETAIL:  Process 1 waits for ShareLock", None),
        (
            "invalid input for query argument $3: 'hush' (a)",
            "invalid input for query argument $3: ********",
        ),
        ("http://example.org:80/a@b", "http://example.org:********@b"),
        ("http://example.org/a:b@c", None),
        ("no token there", None),
    ],
)
def test_secrets_are_removed_from_foreign_texts(text: str, told: str | None) -> None:
    assert without_secrets(text) == (told or text)
    assert "hush" not in without_secrets(text)
