"""The command `doctor`: whether anything is wrong with a project and what it uses."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from backstay.application import application_in_use

if TYPE_CHECKING:
    from backstay.composition import Backstay
    from backstay.settings import Settings


_HINTS = {
    "cache": "Redis does not answer. See that it runs, and that REDIS_URL is right.",
    "mail": "No mail server is configured, so none is sent. Set MAIL_BACKEND and MAIL_HOST.",
    "queue": "No worker claims it. Start one: backstay worker",
    "replica": "The replica does not answer. See that it runs, and that DB_REPLICA_URL is right.",
}
"""By the name of a check of `/health`: what to do. Others are of a running server alone."""


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: what was looked at, in a word or two.
        problems: what to do; none if all is well.
        note: what is no problem, but good to know.
    """

    check: str
    problems: tuple[str, ...] = ()
    note: str = "ok"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Look whether anything is wrong with the project; exit with 1 if so.

    It looks at the settings, the database, what else it uses, and at generated files.
    """
    findings = list(_findings())
    if as_json:
        typer.echo(json.dumps([found._asdict() for found in findings], indent=2))
    else:
        width = max(len(found.check) for found in findings)
        for found in findings:
            for told in found.problems or (found.note,):
                typer.echo(f"{found.check.ljust(width)}  {told}")
    if any(found.problems for found in findings):
        raise typer.Exit(1)


def _findings() -> Iterator[Finding]:
    """The checks; those that need an application, and sound settings, are left out without."""
    from backstay.core.wiring import BootError

    try:
        loaded = application_in_use().read_settings()
    except BootError as error:
        yield Finding("application", tuple(str(error).splitlines()))
    else:
        yield Finding("settings", tuple(str(error) for error in loaded.errors))
        if loaded.settings is not None and not loaded.errors:
            yield from asyncio.run(_services(loaded.settings))
    root = _root()
    if root is not None:
        yield Finding("generated files", tuple(_caught(lambda: _generated(root))))
        yield Finding("security fixes", tuple(_caught(lambda: _unfixed(root))))
        yield from _owned(root)
        yield from _ejected(root)


def _root() -> Path | None:
    from backstay.settings.project import find_project

    project = find_project(Path.cwd())
    return project.root if project else None


async def _services(settings: "Settings") -> list[Finding]:
    """The database, the application, and what `/health` asks; nothing is migrated."""
    from backstay.core.wiring import BootError
    from backstay.db import migrate
    from backstay.db.migrations.runner import MigrationError
    from backstay.db.options import EngineOptions

    application = application_in_use()
    try:
        backstay = application.compose(settings, for_requests=False)
    except BootError as error:
        return [Finding("application", (str(error),))]
    found = [Finding("application")]
    try:
        options = EngineOptions.of(settings)
        problems, _ = await migrate.examine(options, application.histories)
        ahead = (await migrate.standing(options, application.histories)).sentence
        found.append(Finding("database", tuple(problems), ahead or "ok"))
        if not problems:
            found += await _asked(backstay)
    except MigrationError as error:
        found.append(Finding("database", (str(error),)))
    finally:
        await backstay.close()
    return found


async def _asked(backstay: "Backstay") -> list[Finding]:
    """What `/health` says of the services; one that is not configured is no fault."""
    from backstay.features.system.queries import GetHealth

    health = await backstay.system(GetHealth())
    return [
        Finding(
            name, () if health.checks[name] in {"ok", "off"} else (_told(name, health.reasons),)
        )
        for name in _HINTS
        if name in health.checks
    ]


def _told(name: str, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(name)
    return f"{reason[0].upper()}{reason[1:]}. {_HINTS[name]}" if reason else _HINTS[name]


def _generated(root: Path) -> Iterator[str]:
    """Interrupted commands, open conflicts, and what an older release wrote."""
    from backstay.blueprints.journal import refuse_unfinished
    from backstay.blueprints.records import records, release_at
    from backstay.blueprints.releases import number_of
    from backstay.blueprints.tree import pending_conflicts

    refuse_unfinished(root)
    yield from pending_conflicts(root)
    now = number_of(release_at(root))
    old = [each for each in records(root) if number_of(each.release) < now]
    if old:
        release = min((each.release for each in old), key=number_of)
        yield f"What {release} wrote is not up to date. Run: backstay upgrade"


def _owned(root: Path) -> Iterator[Finding]:
    """All of Backstay, where the project owns it."""
    from backstay.blueprints.errors import BlueprintError
    from backstay.blueprints.records import OWNED, as_generated, platform_of

    with suppress(BlueprintError):  # which the checks before have told
        if platform := platform_of(root):
            changed = len(platform.files) - len(list(as_generated(root, platform)))
            told = f"{OWNED} has {platform.release}; the project changed {changed} files of it."
            yield Finding("Backstay", note=told)


def _ejected(root: Path) -> Iterator[Finding]:
    """What only a type checker can tell, which is too slow for this command."""
    from backstay.blueprints.ejecting import KIND
    from backstay.blueprints.errors import BlueprintError
    from backstay.blueprints.records import records

    try:
        names = [record.name for record in records(root) if record.blueprint == KIND]
    except BlueprintError:  # which the checks before have told
        return
    if names:
        told = "Backstay calls your copies: see with make check that their types still fit."
        yield Finding("ejected features", note=f"{', '.join(names)}. {told}")


def _unfixed(root: Path) -> Iterator[str]:
    from backstay.blueprints.security import unfixed

    return unfixed(root)


def _caught(look: Callable[[], Iterator[str]]) -> Iterator[str]:
    """What a check finds, and the refusal that ends it."""
    from backstay.blueprints.errors import BlueprintError

    try:
        yield from look()
    except BlueprintError as error:
        yield from error.problems
