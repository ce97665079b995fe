"""The command `remove`: takes an entity out of a project that `add` wrote into it."""

from pathlib import Path
from typing import Annotated

import typer


def remove(
    name: Annotated[str | None, typer.Argument(help="The entity: Rig.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, as a diff.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--continue", help="Finish what an interrupted command began.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Take back what an interrupted command began.")
    ] = False,
) -> None:
    """Remove what `add` wrote, and write the migration that drops the tables.

    It refuses while other code refers to it, while a file of it has lines of yours, and while the
    configured database holds rows of it or cannot be asked.
    """
    from backstay.cli.planned import begin, carry_out, settled, tell

    if settled(resume=resume, abort=abort):
        return
    if not name:
        raise typer.BadParameter("name the entity, as in: backstay remove Rig")
    from backstay.blueprints.entities.existing import Project
    from backstay.blueprints.entities.removing import removal

    project = Project.of(Path.cwd())
    begin(project.root, force=dry_run)
    removed = removal(project, name, tell)
    if carry_out(removed.plan, dry_run=dry_run):
        typer.echo("\nRun next:")
        if removed.migration:
            typer.echo(f"  backstay db upgrade  # applies {removed.migration}; read it before")
        typer.echo("  git add -A && git commit")
