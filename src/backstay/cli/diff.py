"""The command `diff`: shows how the project's copy of a feature differs from the packaged one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from backstay.blueprints.differing import Differences


def diff(
    feature: Annotated[
        str | None,
        typer.Argument(help="The feature: users. None: all of Backstay, if you own it."),
    ] = None,
) -> None:
    """Show what Backstay and you changed of an ejected feature since it was copied.

    The diffs go to the output, all other sentences to the errors.
    """
    from backstay.blueprints.differing import all_differences, differences
    from backstay.blueprints.ejecting import home_of
    from backstay.blueprints.records import platform_of

    root, _ = home_of(Path.cwd())
    found = differences(root, feature) if feature else all_differences(root)
    if platform_of(root):
        of = feature or "Backstay"
        _show(f"The project changed {of} since it has {found.release}", found.of_the_project)
    elif feature:
        _compare(feature, found)


def _compare(feature: str, found: "Differences") -> None:
    """Show both sides, and what can be done."""
    from backstay import __version__

    since = f"since {found.release}"
    _show(f"Backstay {__version__} changed {feature} {since}", found.of_backstay)
    _show(f"The project changed its copy of {feature} {since}", found.of_the_project)
    if found.of_backstay:
        typer.echo(f"To merge what Backstay changed: backstay eject {feature}", err=True)
    if not found.of_the_project:
        typer.echo(f"To use the packaged feature again: backstay uneject {feature}", err=True)


def _show(what: str, text: str) -> None:
    typer.echo(f"{what}:" if text else f"{what}: nothing.", err=True)
    typer.echo(text, nl=False)
