"""The command `doctor`: whether anything is wrong with a project and what it uses."""

import asyncio
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from backstay.cli.checks import CHECKS, Finding, Outcome, Run, Severity, Subject

_COLOURS = {
    Severity.OK: "green",
    Severity.NOTE: "blue",
    Severity.WARNING: "yellow",
    Severity.ERROR: "red",
}
_INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""
_LONGEST = 60.0
"""Seconds after which it ends in any case."""
_VERSION = 1
"""Of the JSON: a change that programs would notice raises it; further keys do not."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 for warnings, too, not only for errors.")
    ] = False,
) -> None:
    """Look whether anything is wrong with the project; exit with 1 if so.

    It looks at the settings, at this machine, at the database and all else that is configured, and
    at generated files. It ends within a minute, whatever hangs.
    """
    outcomes: list[Outcome] = []
    with _watched():
        runner, run = asyncio.Runner(), Run(CHECKS, Subject.here())
        try:
            runner.run(_look(run, outcomes, silent=as_json))
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            _leave(_INTERRUPTED)
    counts = Counter(each.severity for outcome in outcomes for each in outcome.findings)
    failed = bool(counts[Severity.ERROR] or (strict and counts[Severity.WARNING]))
    if as_json:
        typer.echo(json.dumps(_as_json(outcomes, counts, ok=not failed), indent=2))
    else:
        typer.echo(f"\n{_summary(outcomes, counts)}")
    if run.hangs:
        _leave(int(failed))
    runner.close()
    raise typer.Exit(int(failed))


async def _look(run: Run, outcomes: list[Outcome], *, silent: bool) -> None:
    run.subject.compose()
    group = ""
    async for outcome in run.outcomes():
        outcomes.append(outcome)
        if silent or not outcome.findings:
            continue
        if outcome.check.group != group:
            typer.secho(f"{group and chr(10)}{outcome.check.group}", bold=True)
            group = outcome.check.group
        for finding in outcome.findings:
            _show(outcome, finding)


def _show(outcome: Outcome, finding: Finding) -> None:
    width = max(len(each.name) for each in CHECKS.values())
    severity = typer.style(finding.severity.ljust(7), fg=_COLOURS[finding.severity])
    head = f"  {severity}  {outcome.check.name.ljust(width)}  "
    cause, *more = finding.cause.splitlines()
    typer.echo(f"{head}{cause}")
    indent = " " * (2 + 7 + 2 + width + 2)
    for line in (*more, *finding.mend.splitlines()):
        typer.echo(f"{indent}{line.strip()}")


def _summary(outcomes: list[Outcome], counts: Counter[Severity]) -> str:
    """The last line."""
    found = [
        f"{counts[each]} {each}{'s' if counts[each] > 1 else ''}"
        for each in (Severity.ERROR, Severity.WARNING, Severity.NOTE)
        if counts[each]
    ]
    looked = sum(bool(each.findings) for each in outcomes)
    told = f"{looked} checks: {', '.join(found) or 'all is well'}."
    if skipped := Counter(each.check.group for each in outcomes if each.skipped):
        groups = ", ".join(f"{number} of {group}" for group, number in skipped.items())
        told += f" Skipped, since what they need does not work: {groups}."
    return told


def _as_json(outcomes: list[Outcome], counts: Counter[Severity], *, ok: bool) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "ok": ok,
        "counts": {each.value: counts[each] for each in Severity},
        "findings": [
            {
                "check": outcome.check.id,
                "severity": each.severity.value,
                "cause": each.cause,
                "mend": each.mend or None,
            }
            for outcome in outcomes
            for each in outcome.findings
        ],
        "skipped": [each.check.id for each in outcomes if each.skipped],
    }


@contextmanager
def _watched() -> Iterator[None]:
    """End this process if not even timeouts work: the import of a project may hang, or a disk."""

    def end() -> None:
        typer.echo(f"It has not ended within {_LONGEST:g} s: a disk or an import hangs.", err=True)
        _leave(1)

    timer = threading.Timer(_LONGEST, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _leave(code: int) -> NoReturn:
    """End this process without waiting for the threads of checks that hang."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
