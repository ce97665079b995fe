"""What people are called when they sign in, in the one form in which it is stored and compared."""

from typing import Annotated
from unicodedata import category, normalize

from email_validator import validate_email
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

LONGEST = 2048


def normalised_email(text: str) -> str:
    """An e-mail address as it is stored: composed (NFC), its domain in Unicode, in lower case.

    The same for every way of writing it, and for what it returns. No name server is asked.

    Raises:
        ValueError: it is no address; one with a name in front is none either.
    """
    if len(text) > LONGEST:
        raise ValueError(f"Length must not exceed {LONGEST} characters")
    checked = validate_email(text.strip(), check_deliverability=False)
    return normalize("NFC", checked.normalized.lower())


def normalised_login(text: str) -> str:
    """What names an account, as it is compared: an e-mail address, else a username.

    No control character survives, so that nobody counts as somebody else for writing one.
    """
    visible = "".join(letter for letter in text if category(letter) != "Cc").strip()
    if "@" in visible:
        try:
            return normalised_email(visible)
        except ValueError:
            pass
    if len(visible) > LONGEST:
        return visible  # nobody's name; to compose it would take the square of its length
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
"""An e-mail address in a message or a setting; it is normalised there."""
