"""The command `openapi`: prints the description of the HTTP interface for other programs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from backstay.main import create_app
from backstay.settings import load_settings


def openapi(
    output: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Print the OpenAPI description of the HTTP interface."""
    schema = create_app(load_settings()).openapi()
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
