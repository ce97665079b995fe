"""The command `create-admin`: creates an administrator, or gives one a new password."""

import asyncio
import sys
from secrets import token_urlsafe
from typing import Annotated

import typer
from pydantic import ValidationError

from backstay.application import application_in_use
from backstay.cli.operators import operator_here, sender_of
from backstay.cli.output import refusal
from backstay.cli.readiness import opened
from backstay.composition import sync_access
from backstay.core.errors import Conflict
from backstay.features.users.commands.admins import CreateAdmin, ResetAdminPassword
from backstay.settings import Settings


def create_admin(
    email: Annotated[str | None, typer.Option(help="E-mail address; else ADMIN_EMAIL.")] = None,
    username: Annotated[str | None, typer.Option(help="User name.")] = None,
    name: Annotated[str | None, typer.Option(help="Display name.")] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Give an existing administrator a new password.")
    ] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Create an administrator, or give one a new password.

    Its password is read from standard input, ADMIN_PASSWORD or the terminal, else made up.
    """
    if reset and (name is not None or (email is not None and username is not None)):
        raise typer.BadParameter("--reset takes --email or --username, nothing else about them")
    settings = application_in_use().load_settings()
    named = email, username if reset else None, settings.admin.email
    login = next(each for each in named if each is not None)
    password, remark = _password(settings, login, from_stdin=password_stdin)
    try:
        if reset:
            done = asyncio.run(_reset(settings, ResetAdminPassword(login=login, password=password)))
        else:
            first = settings.admin.model_dump(include={"email", "username", "name"})
            given = {"email": email, "username": username, "name": name}
            person = ({} if email is not None else first) | {
                key: value for key, value in given.items() if value is not None
            }
            done = asyncio.run(_create(settings, CreateAdmin(**person, password=password)))
    except ValidationError as error:
        raise refusal(error) from None
    typer.echo(f"{done}{remark}")


def _password(settings: Settings, login: str, *, from_stdin: bool) -> tuple[str, str]:
    """The password, and the text that is printed about it."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), ""
    if settings.admin.password is not None:
        return settings.admin.password.get_secret_value(), " The password is ADMIN_PASSWORD."
    if sys.stdin.isatty():
        question = f"Password of {login}"
        return typer.prompt(question, hide_input=True, confirmation_prompt=True), ""
    made_up = token_urlsafe(15)
    return made_up, f"\nThe password, shown only now: {made_up}"


async def _create(settings: Settings, command: CreateAdmin) -> str:
    async with opened(settings) as backstay:
        await sync_access(backstay)
        try:
            await sender_of(backstay, operator_here())(command)
        except Conflict as error:
            hint = (
                "Choose another with --email and --username, or give the administrator who has it "
                "a new password with --reset."
            )
            raise Conflict(f"{error}. {hint}") from error
    return f"Created the administrator {command.email}."


async def _reset(settings: Settings, command: ResetAdminPassword) -> str:
    async with opened(settings) as backstay:
        account = await sender_of(backstay, operator_here())(command)
    still = "" if account.is_active else " The account is still blocked."
    return f"Set the password of {account.email} and ended every session of theirs.{still}"
