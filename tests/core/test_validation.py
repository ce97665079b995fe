"""Shows that a refusal never lists more faults than a client can use."""

from typing import Annotated

import pytest
from annotated_types import Len
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


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["x"], [("0", "Input should be a valid integer, unable to parse string as an integer")]),
        ([], [("body", "List should have at least 1 item after validation, not 0")]),
        ("x", [("body", "Input should be a valid list")]),
    ],
)
def test_a_list_is_told_by_its_cause(given: object, told: list[tuple[str, str]]) -> None:
    adapter = TypeAdapter(Annotated[tuple[int, ...], Len(1)])
    with pytest.raises(Invalid) as refused:
        validated(adapter.validate_python, given)
    assert [(each.field, each.message) for each in refused.value.errors] == told
