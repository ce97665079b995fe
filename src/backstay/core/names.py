"""E-mail addresses and usernames in the one form in which they are stored and compared."""

from typing import Annotated
from unicodedata import category, normalize

from email_validator import validate_email
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

LONGEST = 2048


def normalised_email(text: str) -> str:
    """An e-mail address as it is stored: composed (NFC), its domain in Unicode, in lower case.

    All spellings of an address give the same result, and so does the result itself. There is no
    DNS lookup.

    Raises:
        ValueError: the text is not an address, or has a display name in front of it.
    """
    if len(text) > LONGEST:
        raise ValueError(f"Length must not exceed {LONGEST} characters")
    checked = validate_email(text.strip(), check_deliverability=False)
    return normalize("NFC", checked.normalized.lower())


def normalised_login(text: str) -> str:
    """The name of an account as it is compared: an e-mail address, else a username.

    Control characters are removed: a name with one must not count as the name of another client.
    """
    visible = "".join(letter for letter in text if category(letter) != "Cc").strip()
    if "@" in visible:
        try:
            return normalised_email(visible)
        except ValueError:
            pass
    if len(visible) > LONGEST:
        return visible  # no account has such a name; composing takes quadratic time
    return normalize("NFC", visible.lower())


def _address(text: str) -> str:
    try:
        return normalised_email(text)
    except ValueError as error:
        raise PydanticCustomError(
            "value_error", "value is not a valid email address: {reason}", {"reason": str(error)}
        ) from None


EmailAddress = Annotated[
    str,
    AfterValidator(_address),
    Field(max_length=254),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
"""The type of an e-mail address in a message or a setting; validation normalises it."""
