"""What all contracts have in common: fixtures that a subclass must define, time, wrong texts."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, NoReturn

import pytest

from backstay.testing.clock import FrozenClock

PassTime = Callable[[float], Awaitable[None]]
"""Lets so many seconds pass for the adapter under test."""

GARBAGE = ["", " ", "x", "a.b.c", "..", "é", "\x00", "a" * 50_000, "=" * 64, "A" * 91]
"""Texts that no adapter has made."""


class Contract:
    """The promises of a port as tests. A subclass whose name begins with `Test` runs them."""

    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]

    def lacks(self, fixture: str, what: str) -> NoReturn:
        """Fail, because a subclass does not define one of its fixtures."""
        pytest.fail(
            f"{type(self).__name__} has to define the fixture `{fixture}`: {what}.", pytrace=False
        )


class TimedContract(Contract):
    """A contract in which something expires."""

    @pytest.fixture
    def pass_time(self, clock: FrozenClock) -> PassTime:
        """Moves the kit's `clock`. Override it if the adapter reads another clock."""

        async def forward(seconds: float) -> None:
            clock.forward(seconds=seconds)

        return forward


def altered(text: str) -> list[str]:
    """The text with another character at some places, and without its end."""
    places = range(0, len(text), max(1, len(text) // 40))
    changed = [text[:at] + ("A" if text[at] != "A" else "Z") + text[at + 1 :] for at in places]
    return [*changed, text[:-4]]
