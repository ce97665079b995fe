"""The settings of the shop."""

from pathlib import Path

from backstay import SettingsGroup
from pydantic import Field, SecretStr


class ShopSettings(SettingsGroup, title="Shop"):
    """How long orders wait, how payments are announced, and where papers are kept."""

    env_prefix = "SHOP_"

    webhook_secret: SecretStr = Field(
        min_length=16, description="Key with which the payment provider signs what it sends."
    )
    unpaid_days: int = Field(
        14, ge=1, le=365, description="Days after which an unpaid order is cancelled."
    )
    notes: Path = Field(Path("delivery-notes"), description="Folder of signed delivery notes.")
