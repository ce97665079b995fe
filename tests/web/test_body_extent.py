"""Shows that the values of a body are counted before validation, whatever its texts hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import Invalid
from backstay.web.parameters import TEXT_OR_JOINT, check_extent
from tests.examples import examples

MOST = 6

texts = st.text(st.sampled_from(',:"\\[]{}a\n'), max_size=8)
bodies = st.recursive(
    texts | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def joints(value: Any) -> int:
    """The commas and colons between values and names."""
    if isinstance(value, dict):
        return max(0, 2 * len(value) - 1) + sum(map(joints, value.values()))
    return max(0, len(value) - 1) + sum(map(joints, value)) if isinstance(value, list) else 0


def is_taken(body: str, most: int = MOST) -> bool:
    try:
        check_extent(body.encode(), most)
    except Invalid:
        return False
    return True


@examples(200)
@given(body=bodies, indent=st.sampled_from([None, 1]))
def test_values_and_names_are_counted(body: Any, indent: int | None) -> None:
    assert is_taken(json.dumps(body, indent=indent)) == (joints(body) < MOST)


def test_a_long_text_is_one_value() -> None:
    assert is_taken(json.dumps({"title": 'a,b:c"\\,' * 5000}))


@pytest.mark.parametrize(
    "text", ['"' + "a" * 50, '"' + '\\"' * 50, '"' + "\\" * 51, '"a"b"' + '\\"c' * 50]
)
def test_counting_takes_linear_time(text: str) -> None:
    """Also in an unterminated string: searching for its end again would take quadratic time."""
    found = [each.span() for each in TEXT_OR_JOINT.finditer(text.encode())]
    assert found[-1][1] >= len(text) - 1
    assert len(found) <= 2


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ('{"":1' + ',"":1' * 9, False),
        ("[" + "0," * 9, False),
        ('"' + "," * 20, True),
        ('"\\' * 20, True),
        ('","' * 20, True),
        ("[" * 20, True),
        ("", True),
    ],
)
def test_invalid_json_is_counted_too(body: str, taken: bool) -> None:
    assert is_taken(body) == taken
