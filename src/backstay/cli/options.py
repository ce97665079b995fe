"""The options that several commands have."""

from typing import Annotated

import typer

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, as a diff.")]
Force = Annotated[
    bool, typer.Option("--force", help="Even if git does not hold the latest changes.")
]
Resume = Annotated[
    bool, typer.Option("--continue", help="Finish what an interrupted command began.")
]
Abort = Annotated[
    bool, typer.Option("--abort", help="Take back what an interrupted command began.")
]
