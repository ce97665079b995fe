"""The command `diff`: shows how an ejected feature differs from the packaged one."""

from pathlib import Path
from typing import Annotated

import typer


def diff(feature: Annotated[str, typer.Argument(help="The ejected feature: users.")]) -> None:
    """Show what Backstay and you changed of an ejected feature since it was copied.

    The diffs go to the output, all other sentences to the errors.
    """
    from backstay import __version__
    from backstay.blueprints.differing import differences
    from backstay.blueprints.ejecting import home_of

    root, _ = home_of(Path.cwd())
    found = differences(root, feature)
    since = f"since {found.release}"
    parts = (
        (f"Backstay {__version__} changed {feature} {since}", found.of_backstay),
        (f"The project changed its copy of {feature} {since}", found.of_the_project),
    )
    for what, text in parts:
        typer.echo(f"{what}:" if text else f"{what}: nothing.", err=True)
        typer.echo(text, nl=False)
    if found.of_backstay:
        typer.echo(f"To merge what Backstay changed: backstay eject {feature}", err=True)
    if not found.of_the_project:
        typer.echo(f"To use the packaged feature again: backstay uneject {feature}", err=True)
