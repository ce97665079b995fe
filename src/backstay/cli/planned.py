"""What the commands share that change a project: first checks, and plans carried out."""

from pathlib import Path

import typer

from backstay.blueprints import git, journal
from backstay.blueprints.tree import CONFLICT, Action, Plan
from backstay.settings.project import project_root


def tell(sentence: str) -> None:
    """Say what happens now, where it does not get into what a pipe reads."""
    typer.echo(sentence, err=True)


def settled(*, resume: bool, abort: bool) -> bool:
    """Whether the command only had to finish, or take back, what an interrupted one began."""
    if not resume and not abort:
        return False
    if resume and abort:
        raise typer.BadParameter("either --continue or --abort")
    root = project_root()
    begun = journal.unfinished(root)
    if not begun:
        typer.echo("No command was interrupted here: there is nothing to do.")
        return True
    changed = journal.finish(root) if resume else journal.undo(root)
    for path in begun:
        if path in changed:
            typer.echo(f"left, because you changed it  {path}")
        else:
            typer.echo(f"{'written' if resume else 'as it was'}  {path}")
    return True


def begin(root: Path, *, force: bool) -> None:
    """Refuse a project that git does not hold, or whose latest changes it does not.

    Raises:
        BlueprintError: it must not be changed now.
    """
    journal.refuse_unfinished(root)
    if force:
        git.refuse_without_git(root)
    else:
        git.refuse_dirty(root)


def carry_out(plan: Plan, *, dry_run: bool) -> bool:
    """Write what a plan holds, or show it; whether something was written.

    Raises:
        Exit: with 1, if there are conflicts.
    """
    if dry_run:
        typer.echo(plan.diff(), nl=False)
        tell("Nothing was written, since this is a dry run. This would happen:")
    else:
        plan.apply()
    report(plan, err=dry_run)
    if plan.conflicts:
        left, has = ("would be left", "would have") if dry_run else ("is left", "has")
        tell(
            f"A file with conflicts {left} as it is, and {has} a copy, …{CONFLICT}, in which they "
            "are marked. Take what you want of the copy and delete it; if tables changed, write "
            "the migration: backstay db revision 'What changed'"
        )
        raise typer.Exit(1)
    if all(change.action is Action.KEEP for change in plan.changes):
        typer.echo("Everything is there already.")
        return False
    return not dry_run


def report(plan: Plan, *, err: bool = False) -> None:
    """Print what becomes of each file that changes."""
    width = max((len(change.action) for change in plan.changes), default=0)
    for change in plan.changes:
        if change.action is not Action.KEEP:
            note = f"  ({change.note})" if change.note else ""
            typer.echo(f"{change.action.ljust(width)}  {change.path}{note}", err=err)
