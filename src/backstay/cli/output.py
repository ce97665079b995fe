"""How commands print, for people in a terminal and for programs behind a pipe; how they refuse."""

from collections.abc import Sequence

from pydantic import ValidationError

from backstay.core.errors import FieldError, Invalid


def print_columns(rows: Sequence[Sequence[str]], *, header: bool = False) -> None:
    """Print rows in aligned columns, never cut; the first column or the header is bold."""
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
    """The refusal of the message that arguments were to make: it names each faulty one, never with
    what was given."""
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
