"""The command `shell`: sends messages from a prompt, as the application or as any user."""

import ast
import code
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from inspect import CO_COROUTINE, getdoc, iscoroutine
from types import CodeType, FunctionType
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import ValidationError

from backstay.application import application_in_use
from backstay.cli.operators import MOST, operator_here, sender_of
from backstay.cli.output import refusal
from backstay.cli.readiness import opened
from backstay.composition import Backstay
from backstay.core.errors import AppError, Forbidden, NotFound
from backstay.core.messages import Message
from backstay.core.principal import Principal
from backstay.features.users.queries.accounts import FindAccount
from backstay.settings import Settings

R = TypeVar("R")

_BANNER = """\
{name} {version}, {environment}. The audit trail names {operator} for each message sent here.
  await system(Message(...))                   sends a message as the application
  await user("ann@example.com")(Message(...))  sends it as somebody, with the rights they have now
  messages("user")                             lists the messages whose names hold a word
Ctrl-D ends."""


def shell(
    code: Annotated[
        str | None, typer.Option("--code", "-c", help="Run this code, and end.")
    ] = None,
    operator: Annotated[
        str | None, typer.Option(help="Your name, for the audit trail; else that of your login.")
    ] = None,
) -> None:
    """Send messages from a Python prompt, as the application or as any user.

    Code comes from the prompt, from --code, or from standard input if that is no terminal.
    """
    settings = application_in_use().load_settings()
    who = (operator or "").strip() or operator_here()
    if len(who) > MOST or not who.isprintable():
        raise typer.BadParameter(f"At most {MOST} printable characters.", param_hint="--operator")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(opened(settings)) as backstay,
    ):
        console = _Console(portal, _names(backstay, who))
        if code is None and sys.stdin.isatty():
            console.talk(_banner(settings, who))
            return
        if not console.run_script(sys.stdin.read() if code is None else code):
            raise typer.Exit(1)


def _banner(settings: Settings, operator: str) -> str:
    app = settings.app
    return _BANNER.format(
        name=app.name, version=app.version, environment=settings.environment, operator=operator
    )


def _names(backstay: Backstay, operator: str) -> dict[str, Any]:
    """What code at the prompt can name: every message, and what sends them."""
    kinds = {kind.__name__: kind for kind in backstay.bus.messages}

    async def system(message: Message[R]) -> R:
        """Send a message as the application."""
        return await sender_of(backstay, operator)(message)

    def user(who: str | UUID) -> _AsUser:
        """Whoever has this e-mail address, username or id."""
        return _AsUser(backstay, operator, who)

    def messages(word: str = "") -> None:
        """Print the messages whose names hold a word, in any case."""
        for name in sorted(kinds):
            if word.lower() in name.lower():
                told = (getdoc(kinds[name]) or "").partition("\n")[0]
                print(f"{name:<32}  {told}".rstrip())

    own = {"system": system, "user": user, "messages": messages}
    return {**kinds, **own, "settings": backstay.settings, "__name__": "__console__"}


class _AsUser:
    """Sends messages as one user, with the rights that the user has at the time of each."""

    def __init__(self, backstay: Backstay, operator: str, who: str | UUID) -> None:
        self._backstay = backstay
        self._operator = operator
        self._who = who

    def __repr__(self) -> str:
        return f"user({str(self._who)!r})"

    async def __call__(self, message: Message[R]) -> R:
        """Send a message as this user.

        Raises:
            NotFound: nobody has this e-mail address, username or id.
            Forbidden: the account is blocked or deleted, so that it could not sign in, either.
            AppError: the message was refused.
        """
        principal = await self._principal()
        return await sender_of(self._backstay, self._operator, principal)(message)

    async def _principal(self) -> Principal:
        user_id = _as_id(self._who)
        if user_id is None:
            account = await self._backstay.system(FindAccount(login=str(self._who)))
            if account is None:
                raise NotFound(f"Nobody has the e-mail address or username {self._who}")
            user_id = account.id
        principal = await self._backstay.worker_context.principal_of(user_id)
        if principal is None:
            raise Forbidden(f"{self._who} is nobody who may sign in")
        return principal


def _as_id(who: str | UUID) -> UUID | None:
    if isinstance(who, UUID):
        return who
    with suppress(ValueError):
        return UUID(who)
    return None


class _Console(code.InteractiveConsole):
    """A Python prompt that knows ``await``; Ctrl-C stops what is awaited, and nothing else."""

    def __init__(self, portal: BlockingPortal, names: dict[str, Any]) -> None:
        super().__init__(names, "<shell>")
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._portal = portal
        self._failed = False

    def talk(self, banner: str) -> None:
        """Read and run lines until the input ends; nothing that was typed is stored."""
        with suppress(ImportError):
            import readline
            import rlcompleter

            readline.set_completer(rlcompleter.Completer(self.locals).complete)
            readline.parse_and_bind("tab: complete")
        from rich.pretty import pprint

        def show(value: Any) -> None:
            if iscoroutine(value):
                value.close()
                print("It has not run: write await before it, as in await system(...)")
            elif value is not None:
                self.locals["_"] = value
                pprint(value, expand_all=False)

        shown, sys.displayhook = sys.displayhook, show
        try:
            self.interact(banner, exitmsg="")
        finally:
            sys.displayhook = shown

    def run_script(self, source: str) -> bool:
        """Run code as a whole, and return whether it ended without an error."""
        try:
            compiled = compile(
                source, self.filename, "exec", self.compile.compiler.flags, dont_inherit=True
            )
        except (SyntaxError, ValueError, OverflowError):
            self.showsyntaxerror(self.filename)
            return False
        self.runcode(compiled)
        return not self._failed

    def runcode(self, code: CodeType) -> None:
        """Run compiled code: in this thread, or in that of the event loop if it awaits."""
        try:
            call: Callable[[], Any] = FunctionType(code, self.locals)
            if code.co_flags & CO_COROUTINE:
                self._await(call)
            else:
                call()
        except SystemExit:
            raise
        except KeyboardInterrupt:
            self._failed = True
            self.write("\nKeyboardInterrupt\n")
        except (AppError, ValidationError) as error:
            self._failed = True
            self.write(_told(error))
        except BaseException:
            self._failed = True
            self.showtraceback()

    def _await(self, call: Callable[[], Any]) -> None:
        running = self._portal.start_task_soon(call)
        try:
            running.result()
        except KeyboardInterrupt:
            running.cancel()
            with suppress(CancelledError, Exception):
                running.result()
            raise


def _told(error: AppError | ValidationError) -> str:
    """An error of a message, as a client would be told of it: without what was given."""
    found = refusal(error) if isinstance(error, ValidationError) else error
    return f"{found.status} {found.code}: {found}\n"
