"""The command `openapi`: prints the description of the HTTP interface for other programs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from backstay.application import application_in_use


def openapi(
    output: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Print the OpenAPI description of the HTTP interface."""
    schema = application_in_use().create_app().openapi()
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
