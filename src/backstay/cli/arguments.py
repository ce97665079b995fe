"""What is wrong with the arguments of a command, by the message that they were to make."""

from pydantic import ValidationError

from backstay.core.errors import FieldFault, Invalid


def refusal(error: ValidationError) -> Invalid:
    """The refusal that names each faulty argument, never with what was given."""
    return Invalid(
        errors=tuple(
            FieldFault(
                str(fault["loc"][0]) if fault["loc"] else "input",
                fault["type"],
                fault["msg"].rstrip("."),
            )
            for fault in error.errors(include_url=False, include_input=False)
        )
    )
