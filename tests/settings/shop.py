"""A project's own group of settings, of many types, with checks of its own."""

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from backstay.settings import Setting, SettingError, SettingsGroup


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Sender(BaseModel):
    name: str
    password: SecretStr


class ShopSettings(SettingsGroup, title="Shop"):
    """What the shop sells, and to whom."""

    env_prefix = "SHOP_"

    currency: Literal["EUR", "USD"] = Field("EUR", description="Currency of every price.")
    api_key: SecretStr = Field(description="Key of the\n        payment provider.")
    countries: tuple[str, ...] = Field(("DE", "FR"), description="Where parcels go.")
    floors: list[int] = Field(default_factory=list, description="Floors of the warehouse.")
    sizes: frozenset[Size] = Field(frozenset({Size.SMALL}), description="Sizes of parcels.")
    fees: dict[str, Decimal] = Field({"DE": Decimal("4.90")}, description="Fee by country.")
    sender: Sender | None = Field(None, description="Who sends parcels.")
    size: Size = Field(Size.LARGE, description="Size of a parcel | box.")
    hold: timedelta = timedelta(minutes=30)
    cheapest: int = Field(1, ge=0, description="Lowest price in cents.")
    dearest: Annotated[int, Setting(at_most=1000, also="TOP_PRICE", in_local=50)] = Field(
        900, description="Highest price in cents."
    )
    note: str = Field("", description="A note.")

    @field_validator("note")
    @classmethod
    def _polite(cls, note: str) -> str:
        if note == "rude":
            raise ValueError("is not polite.")
        if note == "shouted":
            raise SettingError("is too loud", "Write it in lower case.")
        return note

    @model_validator(mode="after")
    def _in_order(self) -> "ShopSettings":
        if self.cheapest > self.dearest:
            raise ValueError("the cheapest is above the dearest")
        return self
