"""Prints rows and refusals of commands, for terminals and for programs that read a pipe."""

from collections.abc import Sequence

from pydantic import ValidationError

from backstay.core.errors import FieldError, Invalid


def print_columns(rows: Sequence[Sequence[str]], *, header: bool = False) -> None:
    """Print rows in aligned columns, never truncated; the first column or the header is bold."""
    from rich.console import Console
    from rich.text import Text

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    console = Console(highlight=False, soft_wrap=True)
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = Text("  ".join(cells).rstrip())
        if header:
            line.stylize("bold" if number == 0 else "")
        else:
            line.stylize("bold", 0, widths[0])
        console.print(line)


def refusal(error: ValidationError) -> Invalid:
    """The error text for arguments that do not make a valid message.

    It names each faulty argument, but never repeats its value.
    """
    return Invalid(
        errors=tuple(
            FieldError(
                str(fault["loc"][0]) if fault["loc"] else "input",
                fault["type"],
                fault["msg"].rstrip("."),
            )
            for fault in error.errors(include_url=False, include_input=False)
        )
    )
