"""Shows that no check holds up another one, and that none gives a secret away."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.cli.checks import CHECKS, Finding, Outcome, Run, Subject
from backstay.cli.checks.finding import Look, check, error, ok
from tests.architecture.tree import ROOT
from tests.cli.checks.looking import look, subject_of


@pytest.fixture
def run(tmp_path: Path) -> "Runner":
    return Runner(subject_of(tmp_path, DB_PASSWORD="hunter2hunter2", DB_USER="ann", DB_NAME="x"))


class Runner:
    """Runs checks that a test makes."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    async def __call__(self, **looks: Look) -> dict[str, Outcome]:
        found = dict(CHECKS)
        CHECKS.clear()
        try:
            for name, each in looks.items():
                after = "first" if name == "second" else None
                check(name, "DB_" if name == "first" else "APP_", after=after, seconds=0.2)(each)
            run = Run(dict(CHECKS), self.subject)
        finally:
            CHECKS.clear()
            CHECKS.update(found)
        return {outcome.check.id: outcome async for outcome in run.outcomes()}


def well(_: Subject) -> Iterator[Finding]:
    yield ok("well")


async def test_what_hangs_is_told_and_holds_nothing_up(run: Runner) -> None:
    released = threading.Event()

    def blocks(_: Subject) -> Iterator[Finding]:
        released.wait()
        yield ok("late")

    async def never(_: Subject) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    found = await run(blocks=blocks, never=never, third=well)
    released.set()
    for name in ("blocks", "never"):
        (finding,) = found[name].findings
        assert finding.cause == "No answer within 0.2 s."
        assert found[name].hangs
    assert found["third"].findings == (ok("well"),)


async def test_a_check_that_fails_itself_is_told(run: Runner) -> None:
    async def fails(_: Subject) -> list[Finding]:
        raise LookupError("password=hunter3")

    found = await run(fails=fails, third=well)
    (finding,) = found["fails"].findings
    assert finding.severity == "error"
    assert "LookupError" in finding.cause
    assert "hunter3" not in finding.cause
    assert not found["third"].has_failed


async def test_what_needs_something_broken_is_skipped(run: Runner) -> None:
    def broken(_: Subject) -> Iterator[Finding]:
        yield error("It is down.")

    found = await run(first=broken, second=well, third=well)
    assert [each.skipped for each in found.values()] == [False, True, False]


async def test_what_reads_faulty_settings_is_skipped(tmp_path: Path) -> None:
    run = Runner(subject_of(tmp_path, DB_PORT="x"))
    found = await run(first=well, second=well, third=well)
    assert [each.skipped for each in found.values()] == [True, True, False]


async def test_secrets_of_the_settings_are_hidden(run: Runner) -> None:
    def tells(_: Subject) -> Iterator[Finding]:
        yield error("It is hunter2hunter2.", "Not hunter2hunter2.")

    (finding,) = (await run(first=tells))["first"].findings
    assert (finding.cause, finding.mend) == ("It is ********.", "Not ********.")


async def test_every_check_says_something_of_sound_settings(tmp_path: Path) -> None:
    """Each is run once, with nothing but a missing database."""
    told = await look(subject_of(tmp_path), "")
    assert told.keys() == CHECKS.keys()
    assert not any("The check itself failed" in each for each in told.values()), told
    assert told["database.reachable"].startswith("error: There is no database yet.")
    assert told["database.writable"] == "skipped"
    assert not (tmp_path / "backstay.db").exists()


def test_every_check_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "guides" / "doctor.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in rows if "." in name] == list(CHECKS)
