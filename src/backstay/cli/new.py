"""The command `new`: writes a project that is built on the package."""

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from backstay import __version__
from backstay.blueprints import git
from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.blueprints.ejecting import packaged
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import FOLDER
from backstay.blueprints.journal import undo, unfinished
from backstay.blueprints.names import check_project_name
from backstay.blueprints.platform import platform_record, render_platform
from backstay.blueprints.project import OPTIONAL, ProjectOptions, render_project
from backstay.blueprints.records import record_of
from backstay.blueprints.tree import Action, Plan
from backstay.cli.planned import tell

Database = Literal["sqlite", "postgresql"]
_MESSAGE = "Begin {name} on Backstay"
_DEPLOY = "deploy/"
_SHOWN = {
    "src/{name}/application.py": "what the application consists of",
    "src/{name}/features/": "one folder for each noun; empty yet",
    "tests/": "four tests of what is there already",
    "Makefile": "run, test, check, fmt",
    _DEPLOY: "image, compose, systemd, nginx, Kubernetes",
    ".env.example": "every setting, with its default",
    "README.md": "where things are",
}
_OWN = {
    "src/backstay/": "all of Backstay, as code of the project",
    "tests/": "six tests of what is there already",
}


def new(
    name: Annotated[
        str | None, typer.Argument(help="Name of the project and of its Python package: shop.")
    ] = None,
    database: Annotated[
        Database | None, typer.Option(help="Where its data are; sqlite unless you say so.")
    ] = None,
    redis: Annotated[
        bool | None,
        typer.Option("--redis/--no-redis", help="Whether it uses a Redis; not unless you say so."),
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="No settings, roles, mails, CI and deploy files.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FEATURE,…", help=f"Leave packaged features out: {', '.join(OPTIONAL)}."
        ),
    ] = None,
    own: Annotated[
        bool,
        typer.Option("--own", help="All of Backstay becomes code of the project, to be changed."),
    ] = False,
    directory: Annotated[
        Path | None, typer.Option(help="Its folder, which is made, or empty; else one of its name.")
    ] = None,
) -> None:
    """Begin a project on Backstay: its folder, its tests and its first commit.

    In a terminal it asks for what is not given.
    """
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    left_out = _left_out(without or [])  # refused before anything is asked
    options = ProjectOptions(
        name=_name(name, asks=asks),
        database=database or (_ask_database() if asks else "sqlite"),
        redis=typer.confirm("Does it use a Redis?") if redis is None and asks else bool(redis),
        bare=bare,
        without=left_out,
        own=own,
    )
    root = directory or Path(options.name)
    count = _write(root, options)
    missing = git.first_commit(root, _MESSAGE.format(name=options.name))
    _tell(root, options, count, missing)


def _name(given: str | None, *, asks: bool) -> str:
    if given is None and not asks:
        raise BlueprintError("Say how the project is called: backstay new shop", usage=True)
    name = given
    while name is None:
        name = str(typer.prompt("Name of the project, such as shop"))
        try:
            check_project_name(name)
        except BlueprintError as error:
            typer.echo(str(error))
            name = None
    check_project_name(name)
    return name


def _ask_database() -> Database:
    while True:
        answer = typer.prompt("Database: sqlite or postgresql", default="sqlite").strip().lower()
        if answer in get_args(Database):
            return cast("Database", answer)
        typer.echo("Write sqlite or postgresql.")


def _left_out(given: list[str]) -> tuple[str, ...]:
    """The features that are left out.

    Raises:
        BlueprintError: one cannot be, or does not exist.
    """
    names = [name.strip() for each in given for name in each.split(",") if name.strip()]
    if wrong := sorted(set(names).difference(OPTIONAL)):
        are = f"{' and '.join(wrong)} cannot be left out"
        unknown = set(wrong).difference(packaged())  # the others are in every application
        near = [each for name in sorted(unknown) for each in get_close_matches(name, OPTIONAL, n=1)]
        meant = f" Did you mean {' and '.join(near)}?" if near else ""
        raise BlueprintError(f"--without: {are}, only {', '.join(OPTIONAL)}.{meant}", usage=True)
    return tuple(sorted(set(names)))


def _write(root: Path, options: ProjectOptions) -> int:
    """Write the project into its folder, which is made if need be; how many files these are.

    Raises:
        BlueprintError: there is something in the folder.
        OSError: it cannot be written; nothing was changed.
    """
    if root.exists() and not root.is_dir():
        raise BlueprintError(f"{root} is no folder. Name another one: --directory PATH")
    if unfinished(root):
        undo(root)  # an earlier call of this command was killed
    found = sorted(each.name for each in root.iterdir()) if root.exists() else []
    held = [name for name in found if name not in (".git", FOLDER)]
    if held and not _is_written(root, options, held):
        raise BlueprintError(
            f"The folder {root} is not empty: it holds {held[0]}"
            f"{f' and {len(held) - 1} more' if held[1:] else ''}. "
            "Choose another name, or another folder: --directory PATH"
        )
    existed = root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        plan = plan_of(root, options)
        if options.own:
            tell(f"Writing all of Backstay {__version__} into {root}, which takes some seconds.")
        plan.apply()
    except BaseException:
        if not existed and not any(root.iterdir()):
            root.rmdir()
        raise
    return len(plan.changes)


def plan_of(root: Path, options: ProjectOptions) -> Plan:
    """All files of a new project."""
    plan = Plan.of(root, render_project(options), options.record)
    if not options.bare:
        deployed = DeployOptions(name=options.name)
        plan += Plan.of(root, render_deploy(deployed), deployed.record)
    if options.own:
        plan += Plan.of(root, render_platform(), platform_record())
    return plan


def _is_written(root: Path, options: ProjectOptions, held: list[str]) -> bool:
    """Whether an earlier call was killed when it had written the same, but committed nothing."""
    record = options.record
    found = record_of(root, record.blueprint, record.name)
    if found is None or found.options != record.options or git.has_commits(root):
        return False
    changes = plan_of(root, options).changes
    if not {change.path.partition("/")[0] for change in changes}.issuperset(held):
        return False
    return all(change.action is Action.KEEP for change in changes)


def _tell(root: Path, options: ProjectOptions, count: int, missing: str | None) -> None:
    typer.echo(f"Wrote {count} files into {root}:")
    shown = _SHOWN | _OWN if options.own else _SHOWN
    shown = {path: about for path, about in shown.items() if path != _DEPLOY or not options.bare}
    paths = {path.format(name=options.name): about for path, about in shown.items()}
    width = max(map(len, paths))
    for path, about in paths.items():
        typer.echo(f"  {path.ljust(width)}  {about}")
    typer.echo(missing or f'Committed as "{_MESSAGE.format(name=options.name)}".')
    typer.echo("\nNext:")
    if root.resolve() != Path.cwd():
        typer.echo(f"  cd {root}")
    typer.echo("  make run    # the first time, this also installs what the project needs")
    typer.echo("  make test")
