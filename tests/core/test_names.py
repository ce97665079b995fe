"""Shows that an e-mail address and a login are normalised to one form."""

from unicodedata import category

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from backstay.core.names import normalised_email, normalised_login
from tests.examples import examples


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("ada@example.org", "ada@example.org"),
        (" ADA@Example.ORG ", "ada@example.org"),
        ("\x1cada@example.org\x1f", "ada@example.org"),
        ("a@xn--mnchen-3ya.de", "a@münchen.de"),
        ("a@XN--MNCHEN-3YA.DE", "a@münchen.de"),
        ("A@MÜNCHEN.de", "a@münchen.de"),
        ("a@mu\u0308nchen.de", "a@münchen.de"),
        ("jose\u0301@example.org", "josé@example.org"),
        ("a@münchen。de", "a@münchen.de"),
        ("H\u0331@example.org", "ẖ@example.org"),
    ],
)
def test_an_address_is_normalised(text: str, stored: str) -> None:
    assert normalised_email(text) == stored
    assert normalised_login(text) == stored
    assert normalised_email(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        "Bob <bob@example.org>",
        '"Bob" <bob@example.org>',
        "<bob@example.org>",
        "bob",
        "@example.org",
        "bob@localhost",
        "b\x00ob@example.org",
        "b\x1cob@example.org",
        "bob@exam\x7fple.org",
        '"b ob"@example.org',
        "bob@[192.0.2.1]",
        "a" * 3000 + "@example.org",
        "a" * 250 + "@example.org",
    ],
    ids=lambda text: text[:20],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalised_email(text)


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("Ada", "ada"),
        ("\x1c Ada\x85 ", "ada"),
        ("a\x00d\x1ba", "ada"),
        ("b\x1cob@example.org", "bob@example.org"),
        ("Bob <bob@example.org>", "bob <bob@example.org>"),
        ("bob@", "bob@"),
        ("\x1c", ""),
    ],
)
def test_a_login_has_one_form(text: str, login: str) -> None:
    assert normalised_login(text) == login


@examples()
@given(st.text() | st.emails() | st.builds("{}@{}".format, st.text(), st.text()))
@example("\u1e9e@example.org")
@example("\u0130@example.org")
@example("ΑΣ@example.org")
@example("a\x1c @example.org")
def test_normalising_twice_changes_nothing(text: str) -> None:
    login = normalised_login(text)
    assert normalised_login(login) == login
    assert not any(category(letter) == "Cc" for letter in login)


@examples()
@given(st.emails())
def test_an_address_is_the_same_in_any_case(text: str) -> None:
    try:
        stored = normalised_email(text)
    except ValueError:
        assume(False)
    assert normalised_email(stored) == stored
    assert normalised_email(text.upper()) == stored or not text.isascii()
