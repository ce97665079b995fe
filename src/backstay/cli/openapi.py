"""The command `openapi`: prints the description of the HTTP interface for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from backstay.main import create_app
from backstay.settings import load_settings
from backstay.web.openapi import openapi_text


def openapi(
    output: Annotated[
        Path | None, typer.Option(help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Print the OpenAPI description of the HTTP interface."""
    text = openapi_text(create_app(load_settings()))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
