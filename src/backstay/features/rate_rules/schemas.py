"""The constraints of names of tiers."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError


def _tier_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise PydanticCustomError(
            "tier_name", "A tier's name begins with a letter or digit; then also _ . - may follow"
        )
    return value


TierName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_tier_name)]
