"""What the commands share that change a project: first checks, and plans carried out."""

from collections import Counter
from pathlib import Path

import typer

from backstay.blueprints import git, journal
from backstay.blueprints.records import OWNED
from backstay.blueprints.tree import CONFLICT, Action, Change, Plan
from backstay.settings.project import project_root


def tell(sentence: str) -> None:
    """Say what happens now, where it does not get into what a pipe reads."""
    typer.echo(sentence, err=True)


def settled(*, resume: bool, abort: bool) -> bool:
    """Whether the command only had to finish, or take back, what an interrupted one began.

    Raises:
        BlueprintError: one was interrupted, and nothing is said about that.
    """
    if resume and abort:
        raise typer.BadParameter("either --continue or --abort")
    root = project_root()
    if not resume and not abort:
        journal.refuse_unfinished(root)
        journal.clean(root)
        return False
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
    """Print what becomes of each file that changes; of Backstay's own, how many are replaced."""
    width = max((len(change.action) for change in plan.changes), default=0)
    counted = Counter(change.action for change in plan.changes if _is_counted(change))
    for action, count in counted.items():
        typer.echo(f"{action.ljust(width)}  {count} files of {OWNED}", err=err)
    for change in plan.changes:
        if change.action is not Action.KEEP and not _is_counted(change):
            note = f"  ({change.note})" if change.note else ""
            typer.echo(f"{change.action.ljust(width)}  {change.path}{note}", err=err)


def _is_counted(change: Change) -> bool:
    """Whether it is one of many, in which nobody has changed anything."""
    replaced = change.action in {Action.WRITE, Action.UPDATE, Action.REMOVE}
    return replaced and change.path.startswith(f"{OWNED}/")
