"""What a check is, and what it finds: a function, registered under an id, that returns findings."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.cli.checks.subject import Subject

SECONDS = 5.0
"""How long a check may take, unless it says."""


class Severity(StrEnum):
    """How much a finding matters: a note is no problem; an error keeps something from working."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: one sentence about the state of things, and one about what to do."""

    severity: Severity
    cause: str
    mend: str = ""


def ok(cause: str) -> Finding:
    """All is well."""
    return Finding(Severity.OK, cause)


def note(cause: str, mend: str = "") -> Finding:
    """Good to know."""
    return Finding(Severity.NOTE, cause, mend)


def warning(cause: str, mend: str) -> Finding:
    """It works, but badly, unsafely, or not for long."""
    return Finding(Severity.WARNING, cause, mend)


def error(cause: str, mend: str = "") -> Finding:
    """Something does not work."""
    return Finding(Severity.ERROR, cause, mend)


Look = Callable[["Subject"], Iterable[Finding] | Awaitable[Iterable[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check. Without findings it does not apply.

    Attributes:
        id: its group and its name, as in ``database.clock``.
        look: what it does; what blocks runs in a thread.
        after: the id of another check, without whose success this one is skipped.
        reads: prefixes of the settings that it reads: it is skipped while one of them is faulty.
        seconds: how long it may take.
        mend: what to do if it takes longer.
    """

    id: str
    look: "Callable[[Subject], Awaitable[tuple[Finding, ...]]]"
    after: str | None
    reads: tuple[str, ...]
    seconds: float
    mend: str

    @property
    def group(self) -> str:
        """What it is about."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """What it looks at within its group."""
        return self.id.partition(".")[2]


CHECKS: dict[str, Check] = {}
"""The checks by their ids, in the order in which they are shown."""


def check(
    name: str,
    *reads: str,
    after: str | None = None,
    seconds: float = SECONDS,
    mend: str = "See what holds it up, then look again.",
) -> Callable[[Look], Look]:
    """Register a function as a check; see :class:`Check`."""

    def register(look: Look) -> Look:
        CHECKS[name] = Check(name, _awaited(look), after, reads, seconds, mend)
        return look

    return register


def _awaited(look: Look) -> "Callable[[Subject], Awaitable[tuple[Finding, ...]]]":
    async def run(subject: "Subject") -> tuple[Finding, ...]:
        if iscoroutinefunction(look):
            return tuple(await look(subject))
        return await asyncio.to_thread(lambda: _all(look(subject)))

    return run


def _all(found: Iterable[Finding] | Awaitable[Iterable[Finding]]) -> tuple[Finding, ...]:
    if isawaitable(found):
        raise TypeError("write `async def`: its findings are awaited")
    return tuple(found)
