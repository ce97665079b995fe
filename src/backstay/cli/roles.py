"""The command `roles`: shows which role holds which permission."""

import asyncio
from typing import Annotated

import typer

from backstay.application import application_in_use
from backstay.cli.output import print_columns
from backstay.cli.readiness import opened
from backstay.features.access.queries.roles import GetMatrix
from backstay.features.access.schemas import Matrix, RoleDetail
from backstay.settings import Settings


def roles(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show which role holds which permission, and how far.

    Under each role its level. A star marks field rules, `all` a superuser.
    """
    matrix = asyncio.run(_matrix(application_in_use().load_settings()))
    if as_json:
        typer.echo(matrix.model_dump_json(indent=2))
        return
    rows = [
        ("PERMISSION", *(role.name for role in matrix.roles)),
        ("level", *(str(role.level) for role in matrix.roles)),
        *((key, *(_cell(role, key) for role in matrix.roles)) for key in matrix.permissions),
    ]
    print_columns(rows, header=True)
    if not matrix.is_complete:
        typer.echo("There are more roles; the highest are shown.", err=True)


def _cell(role: RoleDetail, permission: str) -> str:
    if role.is_superuser:
        return "all"
    for grant in role.grants:
        if grant.permission == permission:
            return f"{grant.scope}{'*' if grant.fields else ''}"
    return "-"


async def _matrix(settings: Settings) -> Matrix:
    async with opened(settings) as backstay:
        return await backstay.system(GetMatrix())
