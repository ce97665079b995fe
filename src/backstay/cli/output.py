"""How commands print: in columns, for people in a terminal and for programs behind a pipe."""

from collections.abc import Sequence


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
