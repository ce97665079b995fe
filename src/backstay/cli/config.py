"""The command `config`: shows the settings of the application, and what is wrong with them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.application import Application, application_in_use
from backstay.mailing.template_checks import overview
from backstay.mailing.templates import mail_folders
from backstay.settings import Loaded, SettingsReport, example_env, reference_markdown

if TYPE_CHECKING:
    from rich.table import Table

_PIPED_WIDTH = 4096


def config(
    reference: Annotated[
        bool, typer.Option("--reference", help="Print the reference of all settings, in Markdown.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print an .env.example with every default.")
    ] = False,
) -> None:
    """Print every setting with its value and origin; exit with 2 when something is wrong."""
    if reference or example:
        groups = application_in_use().settings
        typer.echo(reference_markdown(groups) if reference else example_env(groups), nl=False)
        return
    from rich.console import Console
    from rich.text import Text

    loaded = application_in_use().read_settings()
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    report = loaded.draft.report
    console.print(_table(report))
    for line in _mails(application_in_use(), loaded):
        console.print(Text(line))
    for warning in report.warnings:
        console.print(Text(f"Warning: {warning}", style="yellow"))
    for fault in loaded.errors:
        console.print(Text(f"Fault: {fault}", style="red"))
    if loaded.errors:
        raise typer.Exit(2)


def _mails(application: Application, loaded: Loaded) -> Iterator[str]:
    """What the templates of the project are, if it has any."""
    folders = mail_folders(application.template_folder, loaded.draft.mail.templates_dir)
    for folder in folders:
        found = overview(folder)
        if found.added:
            yield f"Mails of {folder}: {', '.join(found.added)}"
        if found.replaced:
            yield f"Templates of {folder} in place of packaged ones: {', '.join(found.replaced)}"


def _table(report: SettingsReport) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Setting", min_width=max(len(each.name) for each in report.entries))
    table.add_column("Value", overflow="fold")
    table.add_column("Origin", overflow="fold")
    for each in report.entries:
        table.add_row(Text(each.name), Text(each.value), Text(each.origin))
    return table
