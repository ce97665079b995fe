"""Shows which fields count as secrets, however deep they are and whatever their type is called."""

from typing import Annotated

from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr
from typing_extensions import TypeAliasType

from backstay.core.masking import masked_fields, secret_fields


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
