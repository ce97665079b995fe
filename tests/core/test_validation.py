"""Shows that a refusal never lists more faults than a client can use."""

import pytest
from pydantic import TypeAdapter

from backstay.core.errors import Invalid
from backstay.core.validation import MOST_TOLD, validated


@pytest.mark.parametrize(
    ("faults", "told", "listed"),
    [
        (MOST_TOLD, f"{MOST_TOLD} fields are not valid.", 20),
        (MOST_TOLD + 1, f"{MOST_TOLD + 1} fields are not valid.", 0),
    ],
)
def test_a_refusal_lists_a_limited_number_of_faults(faults: int, told: str, listed: int) -> None:
    with pytest.raises(Invalid) as refused:
        validated(TypeAdapter(list[int]).validate_python, ["x"] * faults)
    assert (refused.value.detail, len(refused.value.errors)) == (told, listed)
