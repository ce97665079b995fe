"""The command `uneject`: removes the project's copy of a packaged feature."""

from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import Abort, DryRun, Force, Resume


def uneject(
    feature: Annotated[str | None, typer.Argument(help="The feature: users, items.")] = None,
    dry_run: DryRun = False,
    force: Force = False,
    resume: Resume = False,
    abort: Abort = False,
) -> None:
    """Give a feature back to Backstay; it refuses while the copy has changes of yours."""
    from backstay.cli.planned import begin, carry_out, settled

    if settled(resume=resume, abort=abort):
        return
    if not feature:
        raise typer.BadParameter("name the feature, as in: backstay uneject users")
    from backstay.blueprints import ejecting, owning
    from backstay.blueprints.platform import refuse_ejecting

    root, _ = ejecting.home_of(Path.cwd())
    refuse_ejecting(root, feature)
    record = ejecting.ejected_record(root, feature)
    is_own = record.blueprint == ejecting.OWN
    made = (owning.give_back if is_own else ejecting.uneject)(root, record)
    begin(root, force=force or dry_run)
    written = carry_out(made.plan, dry_run=dry_run)
    for sentence in made.left:
        typer.echo(f"To do: {sentence}", err=dry_run)
    if written:
        typer.echo("\nRun next:\n  git add -A && git commit")
