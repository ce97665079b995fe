"""Runs single checks on settings, as `doctor` does, and says briefly what they found."""

from dataclasses import replace
from pathlib import Path

from backstay.application import PACKAGED, Application
from backstay.cli.checks import CHECKS, Run, Subject
from backstay.settings import read_settings
from backstay.testing.waiting import LIMIT
from tests.cli.process import KEYS
from tests.patient import PATIENT

PRODUCTION = KEYS | {"ENVIRONMENT": "production", "LOG_DIR": ""}

_OF_APPLICATION = "database", "jobs", "mail.backend", "project"
"""The checks for which the application is wired, which takes time."""


def subject_of(
    folder: Path, application: Application | None = PACKAGED, /, **variables: str
) -> Subject:
    """What the checks look at, with these settings; not wired yet."""
    return Subject(read_settings(PATIENT | {"LOG_DIR": ""} | variables, folder), application)


async def look(subject: Subject, *names: str, seconds: float = LIMIT) -> dict[str, str]:
    """By id of a check: its findings as lines ``severity: cause mend``, or ``skipped``.

    Checks that others come after are run with them; ``seconds`` is the timeout of all.
    """
    if any(each.startswith(_OF_APPLICATION) or not each for each in names):
        subject.compose()
    wanted = [name for name in CHECKS if name.startswith(names)]
    checks = {name: CHECKS[name] for name in CHECKS if name in wanted or _precedes(name, wanted)}
    checks = {name: replace(each, seconds=seconds) for name, each in checks.items()}
    told = {}
    async for outcome in Run(checks, subject).outcomes():
        lines = [f"{each.severity}: {each.cause} {each.mend}" for each in outcome.findings]
        told[outcome.check.id] = "skipped" if outcome.skipped else "\n".join(lines)
    return {name: told[name] for name in wanted}


def _precedes(name: str, wanted: list[str]) -> bool:
    after = {CHECKS[each].after for each in wanted}
    return name in after or any(each and CHECKS[each].after == name for each in after)
