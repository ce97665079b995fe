"""The command `remove`: takes out of a project what `add` wrote into it."""

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import Abort, DryRun, Force, Resume


def remove(
    name: Annotated[str | None, typer.Argument(help="The entity: Rig; or a kind of part.")] = None,
    part: Annotated[str | None, typer.Argument(help="The part: job SendReceipt.")] = None,
    dry_run: DryRun = False,
    force: Force = False,
    resume: Resume = False,
    abort: Abort = False,
) -> None:
    """Remove a feature or a part that `add` wrote; a migration then drops its tables.

    It refuses while other code refers to it, while a file of it has lines of yours, and while the
    configured database holds rows of it or cannot be asked.
    """
    from backstay.cli.planned import begin, carry_out, settled, tell

    if settled(resume=resume, abort=abort):
        return
    if not name:
        raise typer.BadParameter("name the entity, as in: backstay remove Rig")
    if part is not None:
        _remove_part(name, part, dry_run=dry_run, force=force)
        return
    from backstay.blueprints.entities.existing import Project
    from backstay.blueprints.entities.removing import removal

    project = Project.of(Path.cwd())
    begin(project.root, force=force or dry_run)
    removed = removal(project, name, tell)
    if carry_out(removed.plan, dry_run=dry_run):
        typer.echo("\nRun next:")
        if removed.migration:
            typer.echo(f"  backstay db upgrade  # applies {removed.migration}: read it first")
        typer.echo("  git add -A && git commit")


def _remove_part(kind: str, name: str, *, dry_run: bool, force: bool) -> None:
    from backstay.blueprints.entities.existing import Project
    from backstay.blueprints.parts.removing import part_removal
    from backstay.cli.planned import begin, carry_out, tell

    project = Project.of(Path.cwd())
    begin(project.root, force=force or dry_run)
    if carry_out(part_removal(project, kind, name, tell), dry_run=dry_run):
        typer.echo("\nRun next:\n  git add -A && git commit")
