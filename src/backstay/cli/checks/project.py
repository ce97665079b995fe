"""The checks of the project: its application, its settings, and the files that were generated."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject


@check("project.application")
def application(subject: Subject) -> Iterator[Finding]:
    """Whether it can be loaded and wired; clashing names and missing handlers are found here."""
    for cause, mend in subject.problems:
        yield error(cause, _one_line(mend))
    if subject.problems or subject.application is None:
        return
    if subject.backstay is None:
        yield note("The settings are wrong, so the application was not built.")
    else:
        told = f"{subject.application.name}, with {len(subject.backstay.features)} features"
        yield ok(told)


@check("project.settings")
def settings(subject: Subject) -> Iterator[Finding]:
    """Whether they are sound."""
    if subject.loaded is None:
        return
    for fault in subject.loaded.errors:
        yield error(f"{fault.variable} {fault.wrong}.".lstrip(), _one_line(fault.hint))
    if subject.application is not None:  # else those of the project are unknown
        for told in subject.loaded.warnings:
            cause, _, mend = told.partition("\n")
            yield warning(_sentence(cause), _one_line(mend) or "Correct or remove it.")
    if not subject.loaded.errors:
        yield ok(f"sound, for the environment {subject.settings.environment.value}")


@check("project.extras", "BACKUP_")
def extras(subject: Subject) -> Iterator[Finding]:
    """Whether the packages are installed that backups ask for; of others the settings tell."""
    backup = subject.settings.backup
    asked = {"BACKUP_KEY": ("pyrage", backup.key is not None)}
    asked["BACKUP_DIR"] = ("obstore", backup.dir.startswith("s3://"))
    for name, (module, is_asked) in asked.items():
        if is_asked and not _is_there(module):
            mend = "Install it: pip install 'backstay[backups]'"
            yield error(f"{name} is set, and the extra backups is not installed.", mend)


@check("project.generated-files")
def generated_files(subject: Subject) -> Iterator[Finding]:
    """Interrupted commands, open conflicts, and what an older release wrote."""
    if subject.root is None:
        return
    problems = list(_caught(_generated, subject.root))
    yield from problems or [ok("up to date")]


@check("project.security-fixes")
def security_fixes(subject: Subject) -> Iterator[Finding]:
    """Generated files that lack a fix of the installed release."""
    if subject.root is None:
        return
    from backstay.blueprints.security import unfixed

    problems = list(_caught(lambda root: (error(each) for each in unfixed(root)), subject.root))
    yield from problems or [ok("none is missing")]


@check("project.owned")
def owned(subject: Subject) -> Iterator[Finding]:
    """All of Backstay, where the project owns it."""
    from backstay.blueprints.errors import BlueprintError
    from backstay.blueprints.records import OWNED, as_generated, platform_of

    if subject.root is None:
        return
    with suppress(BlueprintError):  # which the checks before have told
        if platform := platform_of(subject.root):
            changed = len(platform.files) - len(list(as_generated(subject.root, platform)))
            told = f"{OWNED} has {platform.release}; the project changed {changed} files of it."
            yield note(told)


@check("project.ejected-features")
def ejected_features(subject: Subject) -> Iterator[Finding]:
    """What only a type checker can tell, which is too slow for this command."""
    from backstay.blueprints.ejecting import KIND
    from backstay.blueprints.errors import BlueprintError
    from backstay.blueprints.records import records

    if subject.root is None:
        return
    with suppress(BlueprintError):  # which the checks before have told
        names = [each.name for each in records(subject.root) if each.blueprint == KIND]
        if names:
            mend = "Backstay calls your copies: see with make check that their types still fit."
            yield note(f"{', '.join(names)}.", mend)


def _generated(root: Path) -> Iterator[Finding]:
    from backstay.blueprints.journal import refuse_unfinished
    from backstay.blueprints.records import records, release_at
    from backstay.blueprints.releases import number_of
    from backstay.blueprints.tree import pending_conflicts

    refuse_unfinished(root)
    yield from map(error, pending_conflicts(root))
    now = number_of(release_at(root))
    old = [each for each in records(root) if number_of(each.release) < now]
    if old:
        release = min((each.release for each in old), key=number_of)
        yield error(f"What {release} wrote is not up to date.", "Run: backstay upgrade")


def _caught(look: Callable[[Path], Iterator[Finding]], root: Path) -> Iterator[Finding]:
    """What a check finds, and the refusal that ends it."""
    from backstay.blueprints.errors import BlueprintError

    try:
        yield from look(root)
    except BlueprintError as refusal:
        yield from map(error, refusal.problems)


def _is_there(module: str) -> bool:
    with suppress(ModuleNotFoundError):
        return find_spec(module) is not None
    return False


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text.rstrip('.')}."
