"""Runs the checks beside one another, each with its own timeout, so that none holds up the rest."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

from backstay.cli.checks.finding import Check, Finding, Severity, error
from backstay.cli.checks.subject import Subject
from backstay.core.masking import without_secrets

CLOSING_SECONDS = 2.0
"""How long connections may take to close."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a check: its findings, or that it was ``skipped``, or that it is still on."""

    check: Check
    findings: tuple[Finding, ...] = ()
    skipped: bool = False
    hangs: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether what it looks at does not work."""
        return self.skipped or any(each.severity is Severity.ERROR for each in self.findings)


@dataclass
class Run:
    """One run of the checks; ``hangs`` tells whether something of it has not ended."""

    checks: Mapping[str, Check]
    subject: Subject
    hangs: bool = False
    _tasks: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict, init=False)

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """The outcome of each check, in their order, as soon as it and those before have ended."""
        for name, each in self.checks.items():
            self._tasks[name] = asyncio.create_task(self._run(each))
        for task in self._tasks.values():
            outcome = await task
            self.hangs |= outcome.hangs
            yield outcome
        closing = asyncio.create_task(self.subject.close())
        _, open_ = await asyncio.wait({closing}, timeout=CLOSING_SECONDS)
        self.hangs |= bool(open_)
        closing.cancel()

    async def _run(self, check: Check) -> Outcome:
        if self.subject.reads_faulty(check.reads):
            return Outcome(check, skipped=True)
        before = self._tasks.get(check.after or "")
        if before is not None and (await before).has_failed:
            return Outcome(check, skipped=True)
        outcome = await _look(check, self.subject)
        clean = (
            replace(each, cause=self.subject.hide(each.cause), mend=self.subject.hide(each.mend))
            for each in outcome.findings
        )
        return replace(outcome, findings=tuple(clean))


async def _look(check: Check, subject: Subject) -> Outcome:
    looking = asyncio.ensure_future(check.look(subject))
    done, _ = await asyncio.wait({looking}, timeout=check.seconds)
    if not done:
        looking.cancel()  # not awaited: what hangs may take as long to be closed
        late = error(f"No answer within {check.seconds:g} s.", check.mend)
        return Outcome(check, (late,), hangs=True)
    try:
        return Outcome(check, looking.result())
    except Exception as failure:
        told = without_secrets(f"{type(failure).__name__}: {failure}".splitlines()[0])
        return Outcome(check, (error(f"The check itself failed. {told}", "Report this."),))
