"""The command line: imports only the called command, and explains expected errors."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from traceback import print_exception
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from backstay import __version__
from backstay.core.startup import hurry_imports, without_extras

COMMANDS = {
    "new": "Begin a project on Backstay: its folder, its tests and its first commit.",
    "add": "Write a feature, or a part of one, with its tests; run again, it adds what is new.",
    "remove": "Remove a feature or a part that `add` wrote; a migration then drops its tables.",
    "eject": "Copy a feature of Backstay into the project, which changes it from then on.",
    "diff": "Show what Backstay and you changed of an ejected feature since it was copied.",
    "uneject": "Give a feature back to Backstay; it refuses while the copy has changes of yours.",
    "upgrade": "Bring the project to another release; what you changed is kept.",
    "deploy": "Write the files by which the project is deployed; run again, it merges.",
    "doctor": "Look whether anything is wrong with the project; exit with 1 if so.",
    "serve": "Start the server; in `local` the database is made ready first.",
    "worker": "Run jobs and fire schedules until told to stop.",
    "maintenance": "Refuse what changes something, and let jobs pause, for as long as it takes.",
    "db": "Migrate the database, back it up and look at it.",
    "jobs": "Look at jobs, run failed ones again, cancel others.",
    "create-admin": "Create an administrator, or give one a new password.",
    "create-tier": "Create a tier, with rate limits if wanted.",
    "generate-secrets": "Print new secrets as lines for an .env file; nothing is kept.",
    "shell": "Send messages from a Python prompt, as the application or as any user.",
    "status": "Show what servers and workers do, live: rates, errors, queues, pools.",
    "roles": "Show which role holds which permission, and how far.",
    "routes": "List every route with its permission, limit and message.",
    "openapi": "Print the OpenAPI description of the HTTP interface.",
    "config": "Print every setting with its value and origin; exit with 2 when something is wrong.",
}
OF_FEATURES = {"create-tier": "tiers"}
"""By command: the feature that it is of, where an application can be without that."""


class _Late(TyperGroup):
    """Knows all commands by name, but imports only the called one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return names if _names_standard() else [each for each in names if not _is_left_out(each)]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command and _is_left_out(str(command.name)):
            feature = OF_FEATURES[str(command.name)]
            ctx.fail(
                f"No such command '{name}'. It is of the feature {feature}, which the application "
                f"leaves out: it lists no {feature}.feature of backstay.features."
            )
        return name, command and load(str(command.name)), rest


def _is_left_out(name: str) -> bool:
    """Whether a command is of a feature that the application leaves out.

    If that cannot be loaded it has all commands; what is called then says why it cannot.
    """
    feature = OF_FEATURES.get(name)
    if feature is None or _reference() is None:
        return False
    with suppress(Exception, SystemExit), without_extras():
        from backstay.application import application_in_use

        listed = application_in_use().features
        places = () if listed is None else (each.place.module for each in listed)
        return listed is not None and f"backstay.features.{feature}" not in places
    return False


def _names_standard() -> bool:
    """Whether the text of the application's module names ``STANDARD``, which is every feature.

    Help then shows all commands and need not import the application, which takes a second.
    """
    reference, folder = _reference() or ("", Path())
    module = reference.partition(":")[0].strip().replace(".", "/")
    with suppress(OSError, ValueError):
        for place in (folder / "src", folder, *map(Path, sys.path)) if module else ():
            for file in (place / f"{module}.py", place / module / "__init__.py"):
                if file.is_file():
                    return "STANDARD" in file.read_text("utf-8")
    return False


def _reference() -> tuple[str, Path] | None:
    """The application as it is named, and the project's folder; None where Backstay itself runs.

    The project is looked for without imports, so that help is quick.
    """
    given, here = os.environ.get("BACKSTAY_APP"), Path.cwd()
    with suppress(Exception):  # commands that need the folder or file say what is wrong with it
        for folder in (here, *here.parents):
            file = folder / "pyproject.toml"
            if file.is_file() and "backstay" in (text := file.read_text("utf-8")):
                import tomllib

                table = tomllib.loads(text).get("tool", {}).get("backstay")
                if table is not None:
                    return given or table.get("app", ""), folder
    return (given, here) if given else None


def load(name: str) -> Any:
    """The command of this name, imported from the module of the same name."""
    attribute = name.replace("-", "_")
    with without_extras():
        found = getattr(import_module(f"{__name__}.{attribute}"), attribute)
    if isinstance(found, typer.Typer):
        return get_group(found)
    single = typer.Typer(add_completion=False)
    single.command(name)(found)
    return get_command(single)


app = typer.Typer(
    cls=_Late, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"Backstay {__version__}")
        raise typer.Exit


@app.callback()
def backstay(
    application: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="MODULE:NAME",
            help="The application; else that of BACKSTAY_APP, of the table tool.backstay in "
            "pyproject.toml, or Backstay itself.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """A FastAPI backend as a package: serve it, look at it, take care of its database."""


def main() -> None:
    """Run the command line. Exit codes: 0 ok, 1 failure, 2 usage or configuration."""
    hurry_imports()
    _escape_unprintable()
    sys.argv[1:] = _without_app(sys.argv[1:])
    try:
        app(prog_name="backstay")
    except Exception as error:
        from backstay.cli.output import printable

        found = explained(error)
        if found is None:
            raise
        sentence, code = found
        if error.__cause__ is not None and _is_debugging():
            print_exception(error.__cause__)
        typer.echo(printable(sentence), err=True)
        sys.exit(code)


def _is_debugging() -> bool:
    """Whether ``APP_DEBUG`` is set, in the environment or in ``.env``."""
    from backstay.settings.project import project_root
    from backstay.settings.sources import read_dotenv

    file, given = project_root() / ".env", {**os.environ}
    with suppress(Exception):  # the sentence matters more than a faulty file
        given = {**read_dotenv(file, str(file), given)[0], **given}
    return given.get("APP_DEBUG", "").strip().lower() in {"1", "true", "yes", "on"}


def _without_app(arguments: list[str]) -> list[str]:
    """The arguments without ``--app``, which may stand before or after the command.

    The processes that this one starts find the application in the environment, too.
    """
    rest: list[str] = []
    waiting = iter(arguments)
    for each in waiting:
        if each == "--":
            return [*rest, each, *waiting]
        option, equals, value = each.partition("=")
        if option != "--app":
            rest.append(each)
        elif given := value if equals else next(waiting, None):
            os.environ["BACKSTAY_APP"] = given
        else:
            rest.append(each)  # typer says what is missing
    return rest


def _escape_unprintable() -> None:
    """Escape characters that the output cannot encode, so that they do not end a command."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def explained(error: Exception) -> tuple[str, int] | None:
    """The text and the exit code for an expected error."""
    from backstay.blueprints.errors import BlueprintError
    from backstay.core.backups import BackupError
    from backstay.core.errors import AppError, DatabaseFailed, DatabaseUnavailable, Invalid
    from backstay.core.wiring import BootError
    from backstay.db.faults import first_line
    from backstay.db.migrations.runner import MigrationError
    from backstay.settings import ConfigurationError

    if isinstance(error, ConfigurationError | BlueprintError):
        return str(error), getattr(error, "exit_code", 2)
    if isinstance(error, Invalid) and error.errors:
        return "\n".join(f"{fault.field}: {fault.message}." for fault in error.errors), 2
    if isinstance(error, DatabaseFailed | DatabaseUnavailable) and error.__cause__ is not None:
        return f"{str(error).rstrip('.')}: {first_line(error.__cause__)}.", 1
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}.", 1
    if isinstance(error, BootError | MigrationError | BackupError | AppError | OSError):
        return f"{str(error).rstrip('.')}.", 1
    return None
