"""Shows that a signed cursor is read back, and anything else is invalid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import Invalid
from backstay.db.paging import Cursors
from tests.examples import examples

CURSORS = Cursors(b"k" * 32)
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
payloads = st.lists(scalars | st.lists(scalars)) | st.dictionaries(texts, scalars)


@examples()
@given(payloads)
def test_a_signed_cursor_is_read_back(payload: list[object] | dict[str, object]) -> None:
    cursor = CURSORS.sign(payload)
    assert CURSORS.read(cursor) == payload
    assert cursor.replace("-", "").replace("_", "").isalnum()


@examples()
@given(st.text(st.characters()))
def test_garbage_is_invalid(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        CURSORS.read(cursor)
    (fault,) = caught.value.errors
    assert (fault.field, fault.code) == ("cursor", "cursor")


@examples()
@given(payloads, st.data())
def test_one_changed_character_makes_a_cursor_invalid(
    payload: list[object] | dict[str, object], data: st.DataObject
) -> None:
    cursor = CURSORS.sign(payload)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters().filter(lambda c: c != cursor[place]))
    for forged in (cursor[:place] + other + cursor[place + 1 :], cursor[:place], cursor + other):
        with pytest.raises(Invalid):
            CURSORS.read(forged)


def test_a_cursor_signed_with_another_key_is_invalid() -> None:
    with pytest.raises(Invalid):
        Cursors(b"x" * 32).read(CURSORS.sign([1]))
