"""The command `upgrade`: brings a project to another release of Backstay."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import Abort, Force, Resume

if TYPE_CHECKING:
    from backstay.blueprints.environment import Wanted
    from backstay.blueprints.upgrading import Upgrade


def upgrade(
    to: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="A release, or its wheel; else the newest."),
    ] = None,
    find_links: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where wheels are, beside the index.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing, show the diff; 1 if there is something."),
    ] = False,
    skip_tests: Annotated[
        bool, typer.Option("--skip-tests", help="Do not run the project's tests.")
    ] = False,
    force: Force = False,
    resume: Resume = False,
    abort: Abort = False,
) -> None:
    """Bring the project to another release; what you changed is kept.

    Everything is merged, started and tested in a copy before. Exit code 1: there are conflicts, or
    something failed and nothing was changed.
    """
    from backstay.cli.planned import begin, settled

    if settled(resume=resume, abort=abort):
        if resume:
            _tell_installation()
        return
    from backstay.blueprints.environment import Wanted, scratch_environment
    from backstay.blueprints.errors import BlueprintError
    from backstay.blueprints.releases import extras
    from backstay.blueprints.upgrading import PYPROJECT, upgrade
    from backstay.cli.planned import tell
    from backstay.settings.project import find_project

    project = find_project(Path.cwd())
    if project is None:
        raise BlueprintError(
            f"{Path.cwd()} is in no project: no pyproject.toml above has a table [tool.backstay]."
        )
    _refuse_odd(to)
    begin(project.root, force=force or check)
    named = extras((project.root / PYPROJECT).read_text("utf-8"))
    wanted = Wanted(to, named, find_links)
    with scratch_environment() as python:
        found = upgrade(project.root, wanted, python, tell, tests=not skip_tests)
    if found.changes_nothing:
        typer.echo(f"The project has Backstay {found.new}: there is nothing to do.")
        return
    typer.echo(f"From Backstay {found.old} to {found.new}\n\n{found.changelog}")
    if check:
        _show(found)
    else:
        _carry_out(project.root, found, wanted)


def _tell_installation() -> None:
    """Say how the release gets into the environment, which the interrupted command may not do."""
    from backstay.blueprints.records import platform_of
    from backstay.settings.project import project_root

    command = "make install" if platform_of(project_root()) else "backstay upgrade --force"
    typer.echo(f"To install the release, if it is not yet: {command}")


def _refuse_odd(to: str | None) -> None:
    from backstay.blueprints.releases import number_of

    if to is None:
        return
    if to.endswith(".whl"):
        if not Path(to).is_file():
            raise typer.BadParameter(f"--to {to}: there is no such file")
        if not Path(to).name.startswith("backstay-"):
            raise typer.BadParameter(f"--to {to}: this is no wheel of Backstay")
        return
    try:
        number_of(to)
    except ValueError as error:
        raise typer.BadParameter(f"--to: {error}, or the path of a wheel") from None


def _show(found: "Upgrade") -> None:
    """Print what would change, and end with 1."""
    from backstay.cli.planned import report, tell

    typer.echo(found.plan.diff(), nl=False)
    report(found.plan, err=True)
    tell(f"{found.tests} Nothing was changed: this is a check.")
    raise typer.Exit(1)


def _carry_out(root: Path, found: "Upgrade", wanted: "Wanted") -> None:
    """Write the plan, then install the release; if that fails, take the plan back."""
    from backstay.blueprints.environment import own_interpreter
    from backstay.blueprints.tree import revert
    from backstay.cli.planned import report

    wanted = replace(wanted, release=wanted.release or found.new)  # the one that was tried
    python = own_interpreter(root)
    install = _installation(root, found, wanted, python) if python else None
    steps = found.plan.apply()
    if install:
        try:
            install()
        except BaseException:
            revert(root, steps)
            raise
    report(found.plan)
    typer.echo(found.tests)
    _tell_next(root, found, "" if python else wanted.requirement())


def _installation(
    root: Path, found: "Upgrade", wanted: "Wanted", python: str
) -> Callable[[], None] | None:
    """What brings the release into the project's environment; None if there is nothing to do.

    A project that owns Backstay has it there already: what the release requires may be new.
    """
    from backstay.blueprints.records import platform_of
    from backstay.blueprints.upgrading import requirements_change

    if platform_of(root) is None:
        return lambda: wanted.install(python)
    if requirements_change(found.plan):
        return lambda: wanted.install_project(python, root)
    return None


def _tell_next(root: Path, found: "Upgrade", requirement: str) -> None:
    """Print what to do; the requirement is what has to be installed, if it is not."""
    from backstay.blueprints.records import platform_of
    from backstay.blueprints.upgrading import LOCKS, PYPROJECT

    typer.echo("\nRun next:")
    if requirement:
        install = "make install" if platform_of(root) else f"pip install '{requirement}'"
        typer.echo(f"  {install}  # there is no .venv here")
    for name in LOCKS:
        if (root / name).is_file():
            typer.echo(f"  # bring {name} up to date, too: it may name the old release")
    typer.echo("  backstay db upgrade && backstay db check")
    if any(change.path == PYPROJECT for change in found.plan.conflicts):
        typer.echo(f"  make install  # as soon as {PYPROJECT} is settled")
    if found.plan.conflicts:
        typer.echo("  # settle each .conflict file: take what you want of it, then delete it")
        typer.echo("  backstay db revision 'Upgrade'  # if tables changed")
        typer.echo("  make test")
    typer.echo("  git add -A && git commit")
    if found.plan.conflicts:
        raise typer.Exit(1)
