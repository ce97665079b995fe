"""Prints rows and refusals of commands, for terminals and for programs that read a pipe."""

from collections.abc import Sequence

from pydantic import ValidationError

from backstay.core.errors import FieldError, Invalid

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS_OF_LINES = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """A text with its control characters escaped, but line ends: a terminal would obey them."""
    return text.translate(_CONTROLS_OF_LINES)


def print_columns(rows: Sequence[Sequence[str]], *, header: bool = False) -> None:
    """Print rows in aligned columns, never truncated; the first column or the header is bold."""
    from rich.console import Console
    from rich.text import Text

    rows = [[cell.translate(_CONTROLS) for cell in row] for row in rows]
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
                fault["msg"].removeprefix("Value error, ").rstrip("."),
            )
            for fault in error.errors(include_url=False, include_input=False)
        )
    )
