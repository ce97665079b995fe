"""The command `eject`: gives a packaged feature to the project, as a copy in its place."""

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import Abort, DryRun, Force, Resume


def eject(
    feature: Annotated[str | None, typer.Argument(help="The feature: users, items.")] = None,
    as_own: Annotated[
        bool,
        typer.Option(
            "--as-own", help="Into the project's features, under a name of the project's package."
        ),
    ] = False,
    dry_run: DryRun = False,
    force: Force = False,
    resume: Resume = False,
    abort: Abort = False,
) -> None:
    """Copy a feature of Backstay into the project, which changes it from then on.

    The copy stands in place of the packaged feature. Run again after an upgrade, it merges what
    Backstay has changed since.
    """
    from backstay.cli.planned import begin, carry_out, settled

    if settled(resume=resume, abort=abort):
        return
    if not feature:
        raise typer.BadParameter("name the feature, as in: backstay eject users")
    from backstay.blueprints import ejecting, owning
    from backstay.blueprints.platform import refuse_ejecting

    root, home = ejecting.home_of(Path.cwd())
    refuse_ejecting(root, feature)
    made = (owning.eject_as_own if as_own else ejecting.eject)(root, home, feature)
    begin(root, force=force or dry_run)
    written = carry_out(made.plan, dry_run=dry_run)
    for sentence in made.left:
        typer.echo(f"To do: {sentence}", err=dry_run)
    if written:
        typer.echo("\nRun next:")
        typer.echo("  backstay routes  # the same as before")
        typer.echo("  git add -A && git commit")
        if not as_own:
            typer.echo(
                f"  backstay diff {feature}  # later: what you changed, and what Backstay did"
            )
